//! Which aggregates there are: names, node ids, and what each needs beyond its interval.

use watchfire_model::Summary;

use crate::configuration::Rules;

/// A standard aggregate (OPC 10000-13 §4.2.2). AnnotationCount is missing: the gateway keeps no annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's, clause 5.4.3 says what each is")]
pub enum Aggregate {
    Interpolative,
    Average,
    TimeAverage,
    TimeAverage2,
    Total,
    Total2,
    Minimum,
    Maximum,
    MinimumActualTime,
    MaximumActualTime,
    Range,
    Minimum2,
    Maximum2,
    MinimumActualTime2,
    MaximumActualTime2,
    Range2,
    Count,
    DurationInStateZero,
    DurationInStateNonZero,
    NumberOfTransitions,
    Start,
    End,
    Delta,
    StartBound,
    EndBound,
    DeltaBounds,
    DurationGood,
    DurationBad,
    PercentGood,
    PercentBad,
    WorstQuality,
    WorstQuality2,
    StandardDeviationSample,
    VarianceSample,
    StandardDeviationPopulation,
    VariancePopulation,
}

/// What a calculation needs of the points of a stretch that lies in an interval as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Every one of them.
    Points,
    /// How many there are, their mean and spread, their extremes, the first and the last.
    Counts,
    /// What lies between the first and the last, where all of them are good numbers.
    Lines,
}

/// Which points outside its range a calculation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// The last point before and the first one from the end on, whatever their status (§3.1.9).
    ///
    /// NumberOfTransitions also needs the last point before that is not bad.
    Simple,
    /// Also the nearest points that are not bad, and before the start two of them for sloped extrapolation (§3.1.8).
    Interpolated,
}

/// Aggregate, identifier of its node in namespace 0, BrowseName.
const NODES: [(Aggregate, u32, &str); 36] = [
    (Aggregate::Interpolative, 2341, "Interpolative"),
    (Aggregate::Average, 2342, "Average"),
    (Aggregate::TimeAverage, 2343, "TimeAverage"),
    (Aggregate::TimeAverage2, 11285, "TimeAverage2"),
    (Aggregate::Total, 2344, "Total"),
    (Aggregate::Total2, 11304, "Total2"),
    (Aggregate::Minimum, 2346, "Minimum"),
    (Aggregate::Maximum, 2347, "Maximum"),
    (Aggregate::MinimumActualTime, 2348, "MinimumActualTime"),
    (Aggregate::MaximumActualTime, 2349, "MaximumActualTime"),
    (Aggregate::Range, 2350, "Range"),
    (Aggregate::Minimum2, 11286, "Minimum2"),
    (Aggregate::Maximum2, 11287, "Maximum2"),
    (Aggregate::MinimumActualTime2, 11305, "MinimumActualTime2"),
    (Aggregate::MaximumActualTime2, 11306, "MaximumActualTime2"),
    (Aggregate::Range2, 11288, "Range2"),
    (Aggregate::Count, 2352, "Count"),
    (Aggregate::DurationInStateZero, 11307, "DurationInStateZero"),
    (Aggregate::DurationInStateNonZero, 11308, "DurationInStateNonZero"),
    (Aggregate::NumberOfTransitions, 2355, "NumberOfTransitions"),
    (Aggregate::Start, 2357, "Start"),
    (Aggregate::End, 2358, "End"),
    (Aggregate::Delta, 2359, "Delta"),
    (Aggregate::StartBound, 11505, "StartBound"),
    (Aggregate::EndBound, 11506, "EndBound"),
    (Aggregate::DeltaBounds, 11507, "DeltaBounds"),
    (Aggregate::DurationGood, 2360, "DurationGood"),
    (Aggregate::DurationBad, 2361, "DurationBad"),
    (Aggregate::PercentGood, 2362, "PercentGood"),
    (Aggregate::PercentBad, 2363, "PercentBad"),
    (Aggregate::WorstQuality, 2364, "WorstQuality"),
    (Aggregate::WorstQuality2, 11292, "WorstQuality2"),
    (Aggregate::StandardDeviationSample, 11426, "StandardDeviationSample"),
    (Aggregate::VarianceSample, 11428, "VarianceSample"),
    (Aggregate::StandardDeviationPopulation, 11427, "StandardDeviationPopulation"),
    (Aggregate::VariancePopulation, 11429, "VariancePopulation"),
];

impl Aggregate {
    /// Every aggregate, in the order of clause 4.2.2.
    pub fn all() -> impl Iterator<Item = Self> {
        NODES.iter().map(|(aggregate, ..)| *aggregate)
    }

    /// The aggregate whose object in namespace 0 has this numeric identifier.
    #[must_use]
    pub fn from_node_id(id: u32) -> Option<Self> {
        NODES.iter().find(|(_, node, _)| *node == id).map(|(aggregate, ..)| *aggregate)
    }

    /// The numeric identifier of the aggregate's object in namespace 0.
    #[must_use]
    pub fn node_id(self) -> u32 {
        self.entry().1
    }

    /// The BrowseName of the aggregate's object.
    #[must_use]
    pub fn browse_name(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (Self, u32, &'static str) {
        // Every aggregate is in the table, as a test asserts; the fallback is never taken.
        NODES.iter().find(|(aggregate, ..)| *aggregate == self).copied().unwrap_or((self, 0, ""))
    }

    /// Which points outside its range the aggregate needs.
    #[must_use]
    pub const fn bounds(self) -> Bounds {
        match self {
            Self::Interpolative | Self::TimeAverage | Self::Total => Bounds::Interpolated,
            _ => Bounds::Simple,
        }
    }

    const fn needs(self, rules: &Rules) -> Needs {
        match self {
            Self::Average
            | Self::Minimum
            | Self::Maximum
            | Self::MinimumActualTime
            | Self::MaximumActualTime
            | Self::Range
            | Self::Count
            | Self::Start
            | Self::End
            | Self::StandardDeviationSample
            | Self::VarianceSample
            | Self::StandardDeviationPopulation
            | Self::VariancePopulation => Needs::Counts,
            Self::DurationGood | Self::DurationBad | Self::PercentGood | Self::PercentBad => Needs::Lines,
            Self::TimeAverage2 | Self::Total2 if !rules.stepped => Needs::Lines,
            Self::TimeAverage | Self::Total if !rules.stepped && !rules.configuration.use_sloped_extrapolation => {
                Needs::Lines
            }
            _ => Needs::Points,
        }
    }

    /// Whether some summaries can stand for points in its calculation.
    #[must_use]
    pub const fn takes_some(self, rules: &Rules) -> bool {
        !matches!(self.needs(rules), Needs::Points)
    }

    /// Whether a summary can stand for its points: the result is then the same but for the last digits of a mean, a
    /// spread or a sum, which depend on the order in which values are added up.
    ///
    /// The other aggregates ask for what only points tell: what lies between them where some are not good (durations
    /// and totals), the value before a bound, how often the state changed, the worst status.
    #[must_use]
    pub const fn takes(self, rules: &Rules, summary: &Summary) -> bool {
        match self.needs(rules) {
            Needs::Points => false,
            Needs::Counts => true,
            Needs::Lines => summary.is_plain(),
        }
    }

    /// Whether a value that is no number is as good as none.
    pub(crate) const fn needs_number(self) -> bool {
        !matches!(
            self,
            Self::Count
                | Self::Start
                | Self::End
                | Self::DurationGood
                | Self::DurationBad
                | Self::PercentGood
                | Self::PercentBad
                | Self::WorstQuality
                | Self::WorstQuality2
        )
    }

    /// Whether TreatUncertainAsBad does not apply (§5.4.3.35, §5.4.3.36).
    pub(crate) const fn tells_uncertain_from_bad(self) -> bool {
        matches!(self, Self::WorstQuality | Self::WorstQuality2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregate_has_a_node_of_its_own() {
        for aggregate in Aggregate::all() {
            assert_eq!(Aggregate::from_node_id(aggregate.node_id()), Some(aggregate));
            assert_eq!(aggregate.browse_name(), format!("{aggregate:?}"));
        }
        assert_eq!(Aggregate::all().count(), NODES.len());
        assert_eq!(Aggregate::from_node_id(2351), None, "annotations are not kept");
    }
}
