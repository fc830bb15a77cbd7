//! The list of topics: those of this crate, then those that were declared at run time.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::declaration::{Becomes, Declaration};
use crate::topics::BUILT_IN;

/// A topic, whatever it is called on the broker: a handle to its [`Declaration`], ordered as declared.
///
/// For people and in commits it is its name, between processes its index: all processes of a run declare the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(u8);

/// The most topics there can be.
pub const MAX_TOPICS: usize = 64;

/// Why a topic cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareError {
    /// The declaration contradicts itself.
    #[error("topic {0}: {1}")]
    Unsound(&'static str, String),
    /// There is one of that name.
    #[error("topic {0} is declared twice")]
    Twice(&'static str),
    /// Another topic becomes the same.
    #[error("topic {0}: its records cannot become {1:?}: those of topic {2} do")]
    Taken(&'static str, Becomes, &'static str),
    /// There are enough.
    #[error("topic {0} is one too many: at most {MAX_TOPICS} can be declared")]
    TooMany(&'static str),
    /// Something holds a value for each topic already.
    #[error("topic {0} is declared too late: topics are declared before a run is set up")]
    TooLate(&'static str),
}

/// A declaration, and the names that follow from it.
struct Entry {
    declaration: Declaration,
    raw_table: String,
    setting: String,
}

/// By index, as far as they were asked for or declared.
static ENTRIES: [OnceLock<Entry>; MAX_TOPICS] = [const { OnceLock::new() }; MAX_TOPICS];
/// How many there are; with [`FOR_GOOD`] there will be no more.
static COUNT: AtomicUsize = AtomicUsize::new(BUILT_IN.len());
const FOR_GOOD: usize = 1 << 16;

impl Topic {
    /// All topics, in the order in which they were declared.
    pub fn all() -> impl ExactSizeIterator<Item = Topic> {
        topics(COUNT.load(Ordering::Acquire))
    }

    /// How many there are.
    pub fn count() -> usize {
        Topic::all().len()
    }

    /// The topic of that name.
    pub fn named(name: &str) -> Option<Topic> {
        Topic::all().find(|topic| topic.name() == name)
    }

    /// Adds a topic. Before a run is set up: while nothing holds a value for each topic.
    ///
    /// # Errors
    /// A declaration that contradicts itself or another one; one too many; too late.
    pub fn declare(declaration: Declaration) -> Result<Topic, DeclareError> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let Declaration { name, becomes, .. } = declaration;
        declaration.check().map_err(|fault| DeclareError::Unsound(name, fault))?;
        if Topic::named(name).is_some() {
            return Err(DeclareError::Twice(name));
        }
        let same = Topic::all().find(|topic| becomes != Becomes::Nothing && topic.declaration().becomes == becomes);
        if let Some(other) = same {
            return Err(DeclareError::Taken(name, becomes, other.name()));
        }
        let count = Topic::count();
        let place = ENTRIES.get(count).ok_or(DeclareError::TooMany(name))?;
        // Only this function writes here, one at a time, and nobody looks before the count says so.
        place.get_or_init(|| Entry::new(declaration));
        let counted = COUNT.compare_exchange(count, count + 1, Ordering::AcqRel, Ordering::Acquire);
        counted.map(|_| Topic(count as u8)).map_err(|_| DeclareError::TooLate(name))
    }

    /// What it is.
    pub fn declaration(self) -> &'static Declaration {
        &self.entry().declaration
    }

    /// The short name: `gps`.
    pub fn name(self) -> &'static str {
        self.declaration().name
    }

    /// The table of its records: `raw_gps`.
    pub fn raw_table(self) -> &'static str {
        &self.entry().raw_table
    }

    /// The setting with its name on the broker: `gps-topic`.
    pub fn setting(self) -> &'static str {
        &self.entry().setting
    }

    /// Its place in the order of [`Topic::all`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The built-in topic of that index.
    pub(crate) const fn built_in(index: usize) -> Topic {
        Topic(index as u8)
    }

    fn entry(self) -> &'static Entry {
        // What was declared at run time is there before its handle is.
        ENTRIES[self.index()].get_or_init(|| Entry::new(*BUILT_IN[self.index()]))
    }
}

fn topics(count: usize) -> impl ExactSizeIterator<Item = Topic> {
    (0..(count & !FOR_GOOD) as u8).map(Topic)
}

/// All topics, of which there will be no more.
pub(crate) fn all_for_good() -> impl ExactSizeIterator<Item = Topic> {
    topics(COUNT.fetch_or(FOR_GOOD, Ordering::AcqRel))
}

impl Entry {
    fn new(declaration: Declaration) -> Entry {
        let name = declaration.name;
        let (raw_table, setting) = (format!("raw_{name}"), format!("{}-topic", name.replace('_', "-")));
        Entry { declaration, raw_table, setting }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            serializer.serialize_u8(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Topic, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(Name);
        }
        let index = u8::deserialize(deserializer)?;
        let known = usize::from(index) < Topic::count();
        known.then_some(Topic(index)).ok_or_else(|| D::Error::custom(format_args!("there is no topic {index}")))
    }
}

struct Name;

impl Visitor<'_> for Name {
    type Value = Topic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a topic")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Topic, E> {
        Topic::named(name).ok_or_else(|| {
            let known: Vec<&str> = Topic::all().map(Topic::name).collect();
            E::custom(format_args!("topic {name:?} is not declared here (those that are: {})", known.join(", ")))
        })
    }
}
