//! Text that others wrote, as it is shown to people: nothing in it can move a cursor, forge a line or be a command.

/// The text with its control and direction characters as `\\u{..}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// The beginning of a text with so many letters, escaped, and how much is left out, with a word on where that is.
pub fn beginning(text: &str, letters: usize, elsewhere: &str) -> String {
    match text.char_indices().nth(letters) {
        None => escaped(text),
        Some((end, _)) => format!("{}... and {} bytes{elsewhere}", escaped(&text[..end]), text.len() - end),
    }
}

/// The text as one word of a shell's command line.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_unsafe) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\\' => word.push_str(r"\\"),
            '\'' => word.push_str(r"\'"),
            c if is_unsafe(c) => word.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => word.push(c),
        }
    }
    word + "'"
}

/// Control characters, line and paragraph separators, and those that turn the direction of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_spelled_out() {
        assert_eq!(escaped("caf\u{e9} 'n' \\ \"q\""), "caf\u{e9} 'n' \\ \"q\"");
        assert_eq!(escaped("a\u{1b}[2J\nb\u{9b}c\u{202e}"), r"a\u{1b}[2J\u{a}b\u{9b}c\u{202e}");
    }

    #[test]
    fn a_shell_reads_the_word_as_it_was() {
        for text in ["plain/1:2", "", "it's", "a b;rm -rf $(x) `y`", "two\nlines\t\u{1b}[0m'\\", "caf\u{e9}\u{202e}"] {
            let script = format!("printf %s {}", shell_word(text));
            let mut bash = std::process::Command::new("bash");
            let said = bash.env("LC_ALL", "C.UTF-8").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(String::from_utf8(said).unwrap(), text, "{script}");
            assert!(!shell_word(text).contains(['\n', '\u{1b}']));
        }
    }
}
