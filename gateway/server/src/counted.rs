//! Whose alarms are counted together: those of an area and below it, or those that an operator console looks after.
//! Knows what their nodes are called; what is counted is known in `metrics`.

use std::sync::Arc;

use opcua::types::{NodeId, Variant};
use watchfire_pipeline::{OperatorConsole, Tried};

use crate::metrics::Figure;
use crate::names::{AREA, CONSOLE, METRICS, below};
use crate::nodes::{AreaPart, Node, Values};

/// An area or a console.
#[derive(Clone, Debug)]
pub(crate) enum Counted {
    Area(Arc<str>),
    Console(Arc<OperatorConsole>),
}

impl Counted {
    /// The object with the figures.
    pub(crate) fn node(&self) -> Node {
        match self {
            Self::Area(path) => Node::AreaPart(path.clone(), AreaPart::Metrics),
            Self::Console(console) => Node::Console(console.clone()),
        }
    }

    /// The NodeId of one of its figures.
    pub(crate) fn figure_id(&self, figure: &Figure) -> NodeId {
        match self {
            Self::Area(path) => below(&format!("{AREA}{path}"), &format!("{METRICS}/{}", figure.path)),
            Self::Console(console) => below(&format!("{CONSOLE}{}", console.name), figure.path),
        }
    }

    /// What a figure is now.
    pub(crate) fn value(&self, figure: &Figure, values: &Values<'_>) -> Variant {
        let (figures, now) = (values.figures, values.now);
        figure.of_attempts(self.tried(values)).unwrap_or_else(|| match self {
            Self::Area(path) => figures.area(path, now, |figures| figure.value(figures)),
            Self::Console(console) => figures.console(&console.name, now, |figures| figure.value(figures)),
        })
    }

    fn tried(&self, values: &Values<'_>) -> Tried {
        match self {
            Self::Area(path) => values.figures.tried_in(path),
            Self::Console(console) => values.figures.tried_at(&console.name),
        }
    }
}
