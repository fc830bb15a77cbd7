//! Values that stand in records, and in tables, as one of a few words. Each word is spelled here and nowhere else.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in the order of their discriminants.
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];
            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// The same, and the word that the original producer writes where there is nothing to say.
            pub const WORDS_OR_NONE: &'static [&'static str] = &[$($word,)+ "None"];

            /// Its word in records and tables.
            pub const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }

            /// What a word stands for; `None` for the word None, and for any other.
            pub fn from_word(word: &str) -> Option<$name> {
                $name::ALL.into_iter().find(|known| known.word() == word)
            }
        }
    };
}

words! {
    /// Where a record's values come from.
    Source {
        /// Asked for just now.
        Live = "live",
        /// An earlier answer.
        Cached = "cached",
        /// Made up.
        Synthetic = "synthetic",
    }
}

words! {
    /// How dense traffic is.
    Level {
        /// 80 % of the free flow, or more.
        Light = "LIGHT",
        /// From half of the free flow.
        Moderate = "MODERATE",
        /// Below half of the free flow.
        Heavy = "HEAVY",
    }
}

words! {
    /// How far an incident is.
    Phase {
        /// It has happened.
        Active = "Active",
        /// Help is there.
        Responding = "Responding",
        /// It is over.
        Resolved = "Resolved",
    }
}

impl Phase {
    /// Whether the incident is on the road in this phase.
    pub fn is_active(self) -> bool {
        self != Phase::Resolved
    }
}

words! {
    /// What an incident is.
    IncidentKind {
        /// A collision.
        Accident = "Accident",
        /// Somebody is ill or hurt.
        Medical = "Medical",
        /// Something burns.
        Fire = "Fire",
        /// The police are needed.
        Police = "Police",
    }
}

words! {
    /// How bad an incident is.
    Severity {
        /// The least.
        Low = "Low",
        /// Between the two.
        Medium = "Medium",
        /// The worst.
        High = "High",
    }
}
