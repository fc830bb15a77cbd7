//! What the words of raw tables stand for; `None` for the word None, and for any other.

use citystream_dataflows::records::{IncidentKind, Level, Phase, Severity, Source};

pub(super) fn source(word: &str) -> Option<Source> {
    match word {
        "live" => Some(Source::Live),
        "cached" => Some(Source::Cached),
        "synthetic" => Some(Source::Synthetic),
        _ => None,
    }
}

pub(super) fn level(word: &str) -> Option<Level> {
    match word {
        "LIGHT" => Some(Level::Light),
        "MODERATE" => Some(Level::Moderate),
        "HEAVY" => Some(Level::Heavy),
        _ => None,
    }
}

pub(super) fn phase(word: &str) -> Option<Phase> {
    match word {
        "Active" => Some(Phase::Active),
        "Responding" => Some(Phase::Responding),
        "Resolved" => Some(Phase::Resolved),
        _ => None,
    }
}

pub(super) fn kind(word: &str) -> Option<IncidentKind> {
    match word {
        "Accident" => Some(IncidentKind::Accident),
        "Medical" => Some(IncidentKind::Medical),
        "Fire" => Some(IncidentKind::Fire),
        "Police" => Some(IncidentKind::Police),
        _ => None,
    }
}

pub(super) fn severity(word: &str) -> Option<Severity> {
    match word {
        "Low" => Some(Severity::Low),
        "Medium" => Some(Severity::Medium),
        "High" => Some(Severity::High),
        _ => None,
    }
}
