//! What a topic is: everything that differs from one topic to another, as data. All text is `'static`: a declaration
//! lives as long as the process, and what reads one from elsewhere leaks its few hundred bytes once.
//!
//! One rule for bad values: a value of the **wrong JSON type** makes the record a dead letter; a value of the right
//! type that its column **cannot hold** (outside its range, not one of its words, not a compass word, a fraction
//! where an integer belongs) is null there and stands as it came in `extra`. So no definition ever meets a negative
//! speed, and nothing is lost. A **required** field has no such way out: without a value that its column can hold, the
//! record is a dead letter.

/// A topic, as its file in [`crate::topics`] declares it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Declaration {
    /// Its short name: lower-case letters, digits and `_`. It names the raw table (`raw_<name>`), the setting
    /// (`--<name>-topic`) and the topic in commits.
    pub name: &'static str,
    /// What its records are called where people read: "GPS pings".
    pub records: &'static str,
    /// What the topic is called on the broker, unless its setting says otherwise.
    pub default_topic: &'static str,
    /// The JSON name of the field with the record's own id, a required [`Kind::Id`]: a repetition has the same id and time.
    pub id: &'static str,
    /// The JSON name of the field with the device, a required [`Kind::Id`].
    pub device: Option<&'static str>,
    /// The JSON name of the field with the event time: the one of [`Kind::Time`].
    pub time: &'static str,
    /// The JSON name of the field with the position: the one of [`Kind::Place`].
    pub position: Option<&'static str>,
    /// The fields, at most [`MAX_FIELDS`], in the order in which they are written: reading goes fastest in this order.
    pub fields: &'static [Field],
    /// The cells of its positions: those that a join or a window goes by.
    pub cells: &'static [Cell],
    /// What the joined tables make of its records.
    pub becomes: Becomes,
}

/// The most bytes of an id: a record with a longer one is a dead letter. Ids are kept in memory, other texts are not.
pub const MAX_ID: usize = 256;

/// The words of a [`Kind::Bearing`], each an eighth of a circle further clockwise; in any case, with any or no hyphen.
pub const COMPASS: [&str; 8] = ["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"];

/// The most fields a topic has.
pub const MAX_FIELDS: usize = 16;

/// What the joined tables make of on-time records. Each but `Nothing` is of one topic at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// States of vehicles.
    Vehicles,
    /// Positions with a speed.
    Pings,
    /// Speeds around a camera.
    Traffic,
    /// The weather around a station.
    Weather,
    /// Statuses of incidents.
    Statuses,
    /// Nothing: they stand in their raw table, and are counted.
    Nothing,
}

/// A column with the H3 cell of a record's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its name.
    pub column: &'static str,
    /// The cell's resolution, 0 to 15.
    pub resolution: u8,
}

/// One JSON field of a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Its name in JSON.
    pub json: &'static str,
    /// Other names that it goes by.
    pub aliases: &'static [&'static str],
    /// The column it becomes; [`Kind::Place`] becomes `lat`, `lon` and cells, [`Kind::Time`] `event_time`.
    pub column: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// Its unit, empty where it has none.
    pub unit: &'static str,
    /// Whether a record without it is a dead letter; a required text is not empty either.
    pub required: bool,
}

/// How a field is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that names something: at most [`MAX_ID`] bytes.
    Id,
    /// ISO 8601; required.
    Time,
    /// `(lat, lon)` or `lat,lon` as text, WGS-84; required.
    Place,
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A number within a range, both ends included.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// An integer within a range, both ends included.
    Integer {
        /// The least.
        min: i32,
        /// The greatest.
        max: i32,
    },
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// A compass word, as degrees clockwise from north.
    Bearing,
}

impl Field {
    /// A field that need not be there, without a unit or another name.
    pub const fn new(json: &'static str, column: &'static str, kind: Kind) -> Field {
        Field { json, aliases: &[], column, kind, unit: "", required: false }
    }

    /// A text that names something.
    pub const fn id(json: &'static str, column: &'static str) -> Field {
        Field::new(json, column, Kind::Id)
    }

    /// Any text.
    pub const fn text(json: &'static str, column: &'static str) -> Field {
        Field::new(json, column, Kind::Text)
    }

    /// A number within a range, both ends included.
    pub const fn number(json: &'static str, column: &'static str, unit: &'static str, min: f64, max: f64) -> Field {
        Field { unit, ..Field::new(json, column, Kind::Number { min, max }) }
    }

    /// An integer within a range, both ends included.
    pub const fn integer(json: &'static str, column: &'static str, unit: &'static str, min: i32, max: i32) -> Field {
        Field { unit, ..Field::new(json, column, Kind::Integer { min, max }) }
    }

    /// The event time.
    pub const fn time(json: &'static str) -> Field {
        Field { unit: "UTC", required: true, ..Field::new(json, EVENT_TIME, Kind::Time) }
    }

    /// The position, by any of these names.
    pub const fn place(json: &'static str, aliases: &'static [&'static str]) -> Field {
        Field { aliases, unit: "degrees", required: true, ..Field::new(json, LAT, Kind::Place) }
    }

    /// The same field, required.
    pub const fn required(self) -> Field {
        Field { required: true, ..self }
    }

    /// Whether it goes by this name in JSON.
    pub fn is_called(&self, name: &str) -> bool {
        self.json == name || self.aliases.contains(&name)
    }
}

const EVENT_TIME: &str = "event_time";
const LAT: &str = "lat";

/// Columns that all raw tables have beside those of their fields.
const TAKEN: &[&str] =
    &["extra", "topic", "partition", "offset", "key", "log_time", "log_date", "lon", "epoch", "seq", "disposition"];

impl Declaration {
    /// The field of that JSON name.
    pub fn field(&self, json: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == json)
    }

    /// The column with the record's own id.
    pub fn id_column(&self) -> &'static str {
        self.field(self.id).map_or("", |field| field.column)
    }

    /// Whether the declaration contradicts itself or a raw table.
    ///
    /// # Errors
    /// The first fault, for people.
    pub fn check(&self) -> Result<(), String> {
        ensure(is_name(self.name), || "its name is not lower-case letters, digits and _".to_owned())?;
        ensure(!self.default_topic.is_empty(), || "it has no default topic".to_owned())?;
        let most = || format!("it has {} fields: 1 to {MAX_FIELDS} can be read", self.fields.len());
        ensure((1..=MAX_FIELDS).contains(&self.fields.len()), most)?;
        self.fields.iter().try_for_each(Field::check)?;
        self.check_names()?;
        self.check_roles()
    }

    fn check_names(&self) -> Result<(), String> {
        let json = self.fields.iter().flat_map(|field| [&field.json].into_iter().chain(field.aliases));
        unique(json, "field")?;
        let columns = self.fields.iter().map(|field| &field.column).chain(self.cells.iter().map(|cell| &cell.column));
        unique(columns.chain(TAKEN), "column")?;
        let cell = self.cells.iter().find(|cell| !is_name(cell.column) || cell.resolution > 15);
        ensure(cell.is_none(), || format!("{cell:?} is no cell: a name, and a resolution of 0 to 15"))?;
        ensure(self.cells.is_empty() || self.position.is_some(), || "it has cells, but no position".to_owned())
    }

    fn check_roles(&self) -> Result<(), String> {
        for (role, json) in [("id", Some(self.id)), ("device", self.device)] {
            let Some(json) = json else { continue };
            let is_one = self.field(json).is_some_and(|field| field.kind == Kind::Id && field.required);
            ensure(is_one, || format!("its {role}, {json}, is no required id among its fields"))?;
        }
        for (role, json, kind) in [("time", Some(self.time), Kind::Time), ("position", self.position, Kind::Place)] {
            let of_kind: Vec<&str> = self.fields.iter().filter(|f| f.kind == kind).map(|f| f.json).collect();
            let wanted: Vec<&str> = json.into_iter().collect();
            ensure(of_kind == wanted, || format!("its {role} is {wanted:?}, but the fields of that kind {of_kind:?}"))?;
        }
        Ok(())
    }
}

impl Field {
    fn check(&self) -> Result<(), String> {
        let Field { json, column, required, .. } = self;
        ensure(!json.is_empty() && is_name(column), || format!("field {json:?} or its column {column:?} has no name"))?;
        let fits = match self.kind {
            Kind::Time => *required && *column == EVENT_TIME,
            Kind::Place => *required && *column == LAT,
            Kind::Words(words) => !words.is_empty(),
            Kind::Number { min, max } => min <= max,
            Kind::Integer { min, max } => min <= max,
            Kind::Text | Kind::Id | Kind::Flag | Kind::Texts | Kind::Bearing => *column != EVENT_TIME && *column != LAT,
        };
        ensure(fits, || format!("field {json}: column {column} cannot be {:?}", self.kind))
    }
}

fn ensure(holds: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(fault()) }
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.bytes().all(letter) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

fn unique<'a>(names: impl Iterator<Item = &'a &'static str>, what: &str) -> Result<(), String> {
    let mut names: Vec<&str> = names.copied().collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    ensure(twice.is_none(), || format!("{what} {} is there twice", twice.map_or("", |pair| pair[0])))
}
