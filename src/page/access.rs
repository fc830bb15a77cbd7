//! Who may look. From this machine whoever asks for it by its own names; on an address that others reach, whoever shows the
//! token: in a header, or once in a form, for a cookie. A page of another site is never answered.

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::{Method, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Token;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The cookie's name.
const NAME: &str = "citystream";
/// How long the cookie is kept, in seconds: a month.
const KEPT: u32 = 30 * 24 * 3600;

/// See the module.
#[derive(Debug)]
pub struct Access {
    /// Whether the server listens where only this machine reaches it.
    is_local: bool,
    /// Of the token, if there is one.
    proof: Option<[u8; 32]>,
    /// What the cookie holds: it shows that its owner had the token, and does not tell it.
    cookie: String,
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Answer,
    /// The token has to be shown first.
    AskForToken,
    /// It brings the token, for a cookie.
    GiveCookie,
    /// It is not answered, and why.
    Refuse(&'static str),
}

impl Access {
    /// Of a server that listens there.
    pub fn new(address: &str, token: Option<&Token>) -> Access {
        let hash = |text: String| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
        let cookie = token.map(|token| hash(format!("the cookie of {}", token.text())));
        Access {
            is_local: is_loopback(address),
            proof: token.map(|token| hash(token.text().to_owned())),
            cookie: cookie.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default(),
        }
    }

    /// Whether anybody may look at all.
    pub fn is_possible(&self) -> bool {
        self.is_local || self.proof.is_some()
    }

    /// What is to be done with a request.
    pub fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let Some(host) = text(headers, &HOST) else { return Verdict::Refuse("a request names its host\n") };
        if self.is_local && !is_loopback(host) {
            return Verdict::Refuse("only requests to localhost, 127.0.0.1 or [::1] are answered here\n");
        }
        if is_foreign(method, uri, headers, host) {
            return Verdict::Refuse("pages of other sites are not answered\n");
        }
        let is_open = uri.path().starts_with("/assets/") || (uri.path() == "/login" && method == Method::POST);
        if self.is_local || is_open || self.is_shown(headers) {
            return Verdict::Answer;
        }
        let is_page = uri.path() == "/" && method == Method::GET;
        match uri.query().and_then(|query| values(query, "token").next()) {
            Some(token) if is_page && self.is_token(&token) => Verdict::GiveCookie,
            _ => Verdict::AskForToken,
        }
    }

    /// Whether this is the token.
    pub fn is_token(&self, text: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        self.proof.is_some_and(|proof| proof.ct_eq(&shown).into())
    }

    /// The header that gives the cookie.
    pub fn set_cookie(&self) -> String {
        format!("{NAME}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={KEPT}", self.cookie)
    }

    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let bearer = text(headers, &AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.is_token(token)) {
            return true;
        }
        let all = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(';'));
        let mut ours = all.filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='));
        self.proof.is_some() && ours.any(|cookie| cookie.as_bytes().ct_eq(self.cookie.as_bytes()).into())
    }
}

/// Whether a page of another site asks: browsers say so. A link to the page may stand anywhere.
fn is_foreign(method: &Method, uri: &Uri, headers: &HeaderMap, host: &str) -> bool {
    let is_link = method == Method::GET && uri.path() == "/" && text(headers, &MODE) == Some("navigate");
    let is_other = matches!(text(headers, &SITE), Some("cross-site" | "same-site")) && !is_link;
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_ours = |origin: &str| origin.split_once("://").is_some_and(|(_, it)| it.eq_ignore_ascii_case(host));
    is_other || origin.is_some_and(|origin| !is_ours(origin))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The values of a name in a query or a form.
pub fn values<'a>(pairs: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let all = form_urlencoded::parse(pairs.as_bytes());
    all.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether a host, with a port or without, is this machine by one of its own names.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_own_names_only() {
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:1", "127.0.0.1", "[::1]:9090", "[::1]", "127.8.0.1:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "localhost.evil.test:9090",
            "127.0.0.1.evil.test",
            "10.0.0.1:9090",
            "[::2]:1",
            "0.0.0.0:1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    const TOKEN: &str = "0123456789abcdef";

    fn judge(access: &Access, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        access.judge(&method, &path.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn on_loopback_nothing_is_asked_for_and_other_sites_are_refused() {
        let access = Access::new("127.0.0.1:9090", None);
        let ask = |headers: &[(&'static str, &str)]| judge(&access, Method::GET, "/api/views", headers);
        assert_eq!(ask(&[("host", "localhost:9090")]), Verdict::Answer);
        assert!(matches!(ask(&[("host", "evil.test")]), Verdict::Refuse(_)), "a name that leads here");
        assert!(matches!(ask(&[]), Verdict::Refuse(_)));
        let host = ("host", "localhost:9090");
        assert_eq!(
            ask(&[host, ("sec-fetch-site", "same-origin"), ("origin", "http://localhost:9090")]),
            Verdict::Answer
        );
        for site in ["cross-site", "same-site"] {
            assert!(matches!(ask(&[host, ("sec-fetch-site", site)]), Verdict::Refuse(_)), "{site}");
        }
        for origin in ["http://evil.test", "null", "http://localhost:8080"] {
            assert!(matches!(ask(&[host, ("origin", origin)]), Verdict::Refuse(_)), "{origin}");
        }
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(judge(&access, Method::GET, "/", &link), Verdict::Answer, "a colleague's link");
        assert!(matches!(judge(&access, Method::POST, "/", &link), Verdict::Refuse(_)));
        assert!(matches!(ask(&link), Verdict::Refuse(_)), "to the page, and to nothing else");
    }

    #[test]
    fn elsewhere_the_token_is_shown_in_a_header_or_once_for_a_cookie() {
        assert!(!Access::new("0.0.0.0:9090", None).is_possible());
        let access = Access::new("0.0.0.0:9090", Some(&Token::new(TOKEN).unwrap()));
        let host = ("host", "10.0.0.1:9090");
        let ask = |path: &str, more: (&'static str, &str)| judge(&access, Method::GET, path, &[host, more]);
        let none = ("accept", "*/*");
        assert_eq!(ask("/api/views", none), Verdict::AskForToken);
        assert_eq!(ask("/assets/page.css", none), Verdict::Answer, "these are in everybody's program");
        assert_eq!(ask("/api/views", ("authorization", &format!("Bearer {TOKEN}"))), Verdict::Answer);
        assert_eq!(ask("/api/views", ("authorization", "Bearer 0123456789abcdeg")), Verdict::AskForToken);
        assert_eq!(ask(&format!("/?token={TOKEN}"), none), Verdict::GiveCookie);
        assert_eq!(ask(&format!("/api/views?token={TOKEN}"), none), Verdict::AskForToken, "in no other address");
        let given = access.set_cookie();
        assert!(given.contains("; HttpOnly; SameSite=Strict") && !given.contains(TOKEN));
        let cookie = format!("other=1; {}", given.split(';').next().unwrap());
        assert_eq!(ask("/api/views", ("cookie", &cookie)), Verdict::Answer);
        assert_eq!(ask("/api/views", ("cookie", "citystream=")), Verdict::AskForToken);
        assert_eq!(judge(&access, Method::POST, "/login", &[host]), Verdict::Answer);
        let foreign = [host, ("origin", "http://evil.test")];
        assert!(matches!(judge(&access, Method::POST, "/login", &foreign), Verdict::Refuse(_)));
    }
}
