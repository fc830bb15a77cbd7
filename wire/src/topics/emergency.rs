//! `emergency_data`: incidents, or that there is none, and who could help.

use super::{DEVICE, ID, LOCATION, SOURCE, TIME};
use crate::declaration::{Becomes, Declaration, Field, Kind};
use crate::record::Head;
use crate::text::Object;
use crate::words::{IncidentKind, Phase, Severity};

pub(super) static DECLARATION: Declaration = Declaration {
    name: "emergency",
    records: "emergency records",
    default_topic: "emergency_data",
    id: ID.json,
    device: Some(DEVICE.json),
    time: TIME.json,
    position: Some(LOCATION.json),
    fields: &[
        ID,
        DEVICE,
        TIME,
        LOCATION,
        Field::new("hasIncident", "has_incident", Kind::Flag),
        Field::id("incidentId", "incident_id"),
        Field::new("type", "type", Kind::Words(IncidentKind::WORDS_OR_NONE)),
        Field::new("status", "status", Kind::Words(Phase::WORDS_OR_NONE)),
        Field::text("description", "description"),
        Field::integer("nearbyServices", "nearby_services", "", 0, i32::MAX),
        Field::new("serviceTypes", "service_types", Kind::Texts),
        Field::new("severity", "severity", Kind::Words(Severity::WORDS)),
        Field::number("responseTime", "response_time_min", "min", 0.0, 1e6),
        SOURCE,
    ],
    cells: &[],
    becomes: Becomes::Statuses,
};

/// An incident or none, and who could help.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emergency<'a> {
    /// What has happened, if anything.
    pub incident: Option<Incident<'a>>,
    /// Who is near, if that is known.
    pub services: Option<Services<'a>>,
}

/// An incident as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incident<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it is.
    pub kind: IncidentKind,
    /// How far it is.
    pub phase: Phase,
    /// For people.
    pub description: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Minutes until help is there, if that is known.
    pub response_time_min: Option<f64>,
}

/// Emergency services around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Services<'a> {
    /// How many.
    pub count: u32,
    /// Of which kinds.
    pub kinds: &'a [&'a str],
}

impl Emergency<'_> {
    pub(crate) fn write(&self, object: &mut Object<'_>, head: &Head<'_>) {
        head.write_time(object);
        head.write_location(object);
        object.flag("hasIncident", self.incident.is_some());
        match &self.incident {
            None => {
                object.text("type", "None");
                object.text("status", "None");
                object.text("description", "No incidents reported");
            }
            Some(incident) => {
                object.text("incidentId", incident.id);
                object.text("type", incident.kind.word());
                object.text("status", incident.phase.word());
                object.text("description", incident.description);
            }
        }
        if let Some(services) = &self.services {
            object.integer("nearbyServices", services.count.into());
            object.texts("serviceTypes", services.kinds);
        }
        if let Some(incident) = &self.incident {
            object.text("severity", incident.severity.word());
            if let Some(minutes) = incident.response_time_min {
                object.number("responseTime", minutes, 1);
            }
        }
    }
}
