//! Standard output as a sink: one line of JSON a record, with its topic and its key.

use std::io::{StdoutLock, Write};

use citystream_simulator::Message;

use citystream_wire::PerTopic;

use crate::produce::simulate::{Sink, SinkError};

/// Writes lines.
pub struct StdoutSink {
    out: StdoutLock<'static>,
    topics: PerTopic<String>,
}

impl StdoutSink {
    /// Standard output, which nobody else writes to until this is dropped.
    pub fn open(topics: &PerTopic<String>) -> Self {
        StdoutSink { out: std::io::stdout().lock(), topics: topics.clone() }
    }
}

impl Sink for StdoutSink {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        // Topics and keys are plain text; serde_json escapes what is not.
        let (topic, key) = (text(&self.topics[message.topic]), text(message.key));
        let written = write!(self.out, "{{\"topic\": {topic}, \"key\": {key}, \"value\": ")
            .and_then(|()| self.out.write_all(message.value.unwrap_or(b"null")))
            .and_then(|()| self.out.write_all(b"}\n"));
        written.map_err(failed)
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(failed)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.pause()
    }
}

fn text(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

fn failed(error: std::io::Error) -> SinkError {
    SinkError::Stdout(error)
}
