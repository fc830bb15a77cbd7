//! Why a record became a dead letter: a fixed, short vocabulary, plus a detail for people.

/// Why a record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No payload.
    NullPayload,
    /// Longer than `--max-record`, or with an id that is too long.
    TooLong,
    /// Looks like Confluent wire format.
    ConfluentFormat,
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON.
    NotJson,
    /// A field, or the whole, of another JSON type.
    WrongType,
    /// No id, device, time or position.
    MissingField,
    /// A number that no double holds.
    BadNumber,
    /// A time that cannot be read, or before 1970.
    BadTime,
    /// A time too far ahead of the log clock.
    Ahead,
    /// A position that cannot be read, or is not on Earth.
    BadPosition,
    /// A log timestamp that is no time.
    BadLogTime,
}

impl Reason {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Reason; 12] = [
        Reason::NullPayload,
        Reason::TooLong,
        Reason::ConfluentFormat,
        Reason::InvalidUtf8,
        Reason::NotJson,
        Reason::WrongType,
        Reason::MissingField,
        Reason::BadNumber,
        Reason::BadTime,
        Reason::Ahead,
        Reason::BadPosition,
        Reason::BadLogTime,
    ];

    /// The word in the column `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NullPayload => "null_payload",
            Reason::TooLong => "too_long",
            Reason::ConfluentFormat => "confluent_format",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::NotJson => "not_json",
            Reason::WrongType => "wrong_type",
            Reason::MissingField => "missing_field",
            Reason::BadNumber => "bad_number",
            Reason::BadTime => "bad_time",
            Reason::Ahead => "ahead",
            Reason::BadPosition => "bad_position",
            Reason::BadLogTime => "bad_log_time",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// One line for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::NullPayload => "has no payload",
            Reason::TooLong => "is longer than `--max-record`, or has an id longer than 256 bytes",
            Reason::ConfluentFormat => {
                "starts with a zero byte: it looks like Confluent wire format (schema registry), not JSON"
            }
            Reason::InvalidUtf8 => "is not UTF-8",
            Reason::NotJson => "is not JSON (`NaN` and `Infinity`, which are not JSON either, are read as null)",
            Reason::WrongType => "is no JSON object, or has a known field of another JSON type",
            Reason::MissingField => "lacks its id, device, time or position, or has an empty id or device",
            Reason::BadNumber => "has a number too great for a double",
            Reason::BadTime => "has a time that is not ISO 8601, or before 1970",
            Reason::Ahead => "has a time more than `--max-ahead` over the log clock of its partition",
            Reason::BadPosition => "has a position that is not two numbers, or outside +-90, +-180 degrees",
            Reason::BadLogTime => {
                "has a log timestamp outside 2000 to 2100: it moves no log clock, and stands at that of its partition"
            }
        }
    }
}
