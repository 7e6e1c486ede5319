//! The figures of an area's or an operator console's alarms as nodes: AlarmMetricsType (OPC 10000-9 §9.2) with those of ISA-18.2 beside them.

use opcua::types::{DataTypeId, VariableTypeId, Variant};
use watchfire_alarms::{Figures, Window};
use watchfire_pipeline::Tried;
use watchfire_ua::date_time_from_instant;

/// The period of rates, minutes (§9.3).
const RATE_MIN: u16 = 10;

/// A variable below an area's `Metrics`, or a console.
pub(crate) struct Figure {
    /// Browse names from there on, joined by `/`.
    pub path: &'static str,
    pub kind: VariableTypeId,
    pub data_type: DataTypeId,
    /// Whether its name is of our namespace.
    pub own: bool,
    pub explanation: &'static str,
    value: fn(&Figures<'_>) -> Variant,
}

impl std::fmt::Debug for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)
    }
}

impl Figure {
    /// The last browse name.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }

    /// The path of the figure that it belongs to; empty for one that is directly below `Metrics`.
    pub(crate) fn parent(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    pub(crate) fn value(&self, figures: &Figures<'_>) -> Variant {
        (self.value)(figures)
    }

    /// Its value where it counts what was tried by those who may not.
    pub(crate) fn of_attempts(&self, tried: Tried) -> Option<Variant> {
        match self.path {
            UNAUTHORIZED_SUPPRESSIONS => Some(tried.suppressions.into()),
            UNAUTHORIZED_CHANGES => Some(tried.changes.into()),
            _ => None,
        }
    }
}

const fn standard(
    path: &'static str,
    data_type: DataTypeId,
    explanation: &'static str,
    value: fn(&Figures<'_>) -> Variant,
) -> Figure {
    Figure { path, kind: VariableTypeId::BaseDataVariableType, data_type, own: false, explanation, value }
}

const fn rate(path: &'static str, explanation: &'static str, value: fn(&Figures<'_>) -> Variant) -> Figure {
    Figure { kind: VariableTypeId::AlarmRateVariableType, ..standard(path, DataTypeId::Double, explanation, value) }
}

const fn period(path: &'static str) -> Figure {
    let explanation = "The time that the rate is of, minutes.";
    let kind = VariableTypeId::PropertyType;
    Figure { kind, ..standard(path, DataTypeId::UInt16, explanation, |_| RATE_MIN.into()) }
}

const fn count(path: &'static str, explanation: &'static str, value: fn(&Figures<'_>) -> Variant) -> Figure {
    Figure { own: true, ..standard(path, DataTypeId::UInt32, explanation, value) }
}

/// A count that is kept elsewhere.
const fn tried(path: &'static str, explanation: &'static str) -> Figure {
    count(path, explanation, |_| Variant::Empty)
}

const fn share(path: &'static str, explanation: &'static str, value: fn(&Figures<'_>) -> Variant) -> Figure {
    Figure { own: true, ..standard(path, DataTypeId::Double, explanation, value) }
}

/// All of them.
pub(crate) static FIGURES: &[Figure] = &[
    standard("AlarmCount", DataTypeId::UInt32, "Alarms since counting began.", |f| f.alarm_count().into()),
    standard("StartTime", DataTypeId::UtcTime, "When counting began: at the first start, or with Reset.", |f| {
        date_time_from_instant(f.start()).0.into()
    }),
    standard("MaximumActiveState", DataTypeId::Duration, "The longest time that an alarm was active.", |f| {
        milliseconds(f.longest_active())
    }),
    standard("MaximumUnAck", DataTypeId::Duration, "The longest time that an alarm was not acknowledged.", |f| {
        milliseconds(f.longest_unacknowledged())
    }),
    rate("CurrentAlarmRate", "Alarms of the last ten minutes.", |f| f64::from(f.alarms(Window::Period)).into()),
    period("CurrentAlarmRate/Rate"),
    rate("MaximumAlarmRate", "The most alarms in any ten minutes.", |f| f.rate_max().into()),
    period("MaximumAlarmRate/Rate"),
    standard("MaximumReAlarmCount", DataTypeId::UInt32, "How often an alarm was told anew at most.", |f| {
        u32::from(f.re_alarms_max()).into()
    }),
    rate("AverageAlarmRate", "Alarms in ten minutes on the average.", |f| f.rate().into()),
    period("AverageAlarmRate/Rate"),
    count("AlarmsInHour", "Alarms of the last hour.", |f| f.alarms(Window::Hour).into()),
    count("AlarmsInDay", "Alarms of the last day.", |f| f.alarms(Window::Day).into()),
    count("AlarmsIn30Days", "Alarms of the last 30 days.", |f| f.alarms(Window::Month).into()),
    share("FloodShareDay", "Share of ten-minute periods of the last day in flood; below 0.01 is good.", |f| {
        f.flood_share(Window::Day).into()
    }),
    share("FloodShare30Days", "The same of the last 30 days.", |f| f.flood_share(Window::Month).into()),
    share("TopTenShareDay", "Share of the ten most frequent alarms today; below 0.05 is good.", |f| {
        f.top_share(Window::Day).into()
    }),
    share("TopTenShare30Days", "The same of the last 30 days.", |f| f.top_share(Window::Month).into()),
    share("LowShare30Days", "Share of alarms of low priority; 0.8 is good.", |f| priority(f, 0)),
    share("MediumShare30Days", "Share of alarms of medium priority; 0.15 is good.", |f| priority(f, 1)),
    share("HighShare30Days", "Share of alarms of high priority; 0.05 is good.", |f| priority(f, 2)),
    count("Stale", "Alarms that stand for longer than a day; fewer than five is good.", |f| number(f.stale())),
    count("Chattering", "Alarms that come and go now; none is good.", |f| number(f.chattering())),
    count("FleetingInDay", "Alarms of the last day that ended within ten seconds; none is good.", |f| {
        f.fleeting(Window::Day).into()
    }),
    count("MarkedTrue30Days", "Alarms that somebody marked as true in the last 30 days.", |f| {
        f.record().genuine.into()
    }),
    count("MarkedFalse30Days", "The same as false; many of them call for another threshold.", |f| {
        f.record().mistaken.into()
    }),
    tried(
        UNAUTHORIZED_SUPPRESSIONS,
        "How often somebody who may not tried to put an alarm aside or to disable it; none is good.",
    ),
    tried(UNAUTHORIZED_CHANGES, "How often somebody tried to write what is set of an alarm; none is good."),
];

/// What was tried by those who may not.
const UNAUTHORIZED_SUPPRESSIONS: &str = "UnauthorizedSuppressions";
const UNAUTHORIZED_CHANGES: &str = "UnauthorizedChanges";

/// Those that the standard's type does not have, as our type declares them.
pub(crate) fn declared() -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().filter(|figure| figure.own)
}

/// The figure at a path.
pub(crate) fn figure(path: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.path == path)
}

fn priority(figures: &Figures<'_>, place: usize) -> Variant {
    figures.priorities(Window::Month).get(place).copied().unwrap_or_default().into()
}

fn milliseconds(time: std::time::Duration) -> Variant {
    (time.as_secs_f64() * 1e3).into()
}

fn number(count: usize) -> Variant {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
