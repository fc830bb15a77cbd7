//! The live views of the pipeline: collections over the city's streams, and the frames that leave for the page.

use std::sync::Arc;

use citystream_dataflows::city::City;
use citystream_dataflows::time::Epoch;
use citystream_live::collections::{Collections, Traces};
use citystream_live::frames::frames;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::probe::Handle;

use crate::columns::names::Names;
use crate::page::{Hub, feed};

/// The views of a worker. Whoever has them advances them after each step, so that arrangements stay as small as what they show.
pub struct LiveViews {
    traces: Traces,
    probe: Handle<Epoch>,
    advanced: Epoch,
}

impl LiveViews {
    /// Builds the views; their frames are sent once the names of their epoch are `interned`.
    pub fn new<'scope>(
        hub: &Arc<Hub>,
        names: &Arc<Names>,
        city: &City<'scope>,
        interned: StreamVec<'scope, Epoch, ()>,
    ) -> LiveViews {
        let Collections { changes, traces } = Collections::new(city);
        let is_worker0 = changes.scope().index() == 0;
        let mut outlet = is_worker0.then(|| feed(Arc::clone(hub), Arc::clone(names)));
        let send = move |frame| {
            if let Some(outlet) = &mut outlet {
                outlet.send(frame);
            }
        };
        let probe = frames(changes, city.closes.stream.clone(), interned, send);
        LiveViews { traces, probe, advanced: 0 }
    }

    /// Lets arrangements forget what was before the last epoch that is whole.
    pub fn advance(&mut self) {
        let first = self.probe.with_frontier(|frontier| frontier.first().copied());
        let Some(whole) = first.map(|epoch| epoch.saturating_sub(1)).filter(|epoch| *epoch > self.advanced) else {
            return;
        };
        self.traces.advance(whole);
        self.advanced = whole;
    }
}
