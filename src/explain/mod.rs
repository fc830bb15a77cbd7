//! Why a row is what it is, from the lake alone (P5): the row, its revisions with their commits, the records behind
//! it, which of them caused each revision, and the row derived once more from those records.

mod find;
pub mod http;
mod rederive;
mod report;
mod sources;
mod target;

pub use report::Question;
pub use target::Target;

use crate::config::Config;
use crate::escape::shell_word;

/// `lake explain` of the lake of a configuration, for a shell.
pub fn command(config: &Config) -> String {
    let endpoint = config.s3_endpoint.as_ref().map(|url| format!(" --s3-endpoint {}", shell_word(url)));
    format!("citystream lake explain --lake {}{}", shell_word(&config.lake), endpoint.unwrap_or_default())
}
