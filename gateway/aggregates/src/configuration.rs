//! How a variable's data is treated: AggregateConfigurationType of OPC 10000-13 §4.2.1.2, and what can be wrong.

use watchfire_model::Instant;

use crate::point::Class;

/// The configuration of the aggregates of one variable or one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Whether values of uncertain status count as bad.
    pub treat_uncertain_as_bad: bool,
    /// From this share of bad data on a result is bad, percent.
    pub percent_data_bad: u8,
    /// From this share of good data on a result is good, percent.
    pub percent_data_good: u8,
    /// Whether a value after the last one follows the line through the last two, rather than being the last.
    pub use_sloped_extrapolation: bool,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            treat_uncertain_as_bad: true,
            percent_data_bad: 100,
            percent_data_good: 100,
            use_sloped_extrapolation: false,
        }
    }
}

impl Configuration {
    /// Checks that both shares are percents and that they leave no result both good and bad.
    ///
    /// # Errors
    /// [`AggregateError::Percent`] and [`AggregateError::Overlap`]; a server answers
    /// Bad_AggregateConfigurationRejected.
    pub fn check(&self) -> Result<(), AggregateError> {
        for (name, percent) in [("PercentDataBad", self.percent_data_bad), ("PercentDataGood", self.percent_data_good)]
        {
            if percent > 100 {
                return Err(AggregateError::Percent { name, percent });
            }
        }
        let (good, bad) = (self.percent_data_good, self.percent_data_bad);
        if u16::from(good) + u16::from(bad) < 100 {
            return Err(AggregateError::Overlap { good, bad });
        }
        Ok(())
    }

    /// The class of a result that rests on so much good, uncertain and bad data (OPC 10000-13 §5.4.3.2.1).
    ///
    /// Uncertain data counts as good, but a result that rests on it is uncertain at best. Where the two limits meet,
    /// what is good decides.
    pub(crate) fn weigh(&self, good: u64, uncertain: u64, bad: u64) -> Class {
        let usable = u128::from(good) + u128::from(uncertain);
        let total = usable + u128::from(bad);
        let enough_good = usable * 100 >= u128::from(self.percent_data_good) * total;
        let too_much_bad = bad > 0 && u128::from(bad) * 100 >= u128::from(self.percent_data_bad) * total;
        let limits_meet = u16::from(self.percent_data_good) + u16::from(self.percent_data_bad) == 100;
        let at_best = if uncertain > 0 { Class::Uncertain } else { Class::Good };
        match (enough_good, too_much_bad) {
            (true, false) => at_best,
            (true, true) if limits_meet && usable > 0 => at_best,
            (_, true) => Class::Bad,
            (false, false) => Class::Uncertain,
        }
    }
}

/// What a calculation needs to know of its variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The aggregate configuration.
    pub configuration: Configuration,
    /// The variable's Stepped property (OPC 10000-11 §5.2.3): a value holds until the next one.
    pub stepped: bool,
}

/// What the caller has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// A share beyond 100 %.
    #[error("{name} is {percent}; it is a percentage, so at most 100")]
    Percent {
        /// Which of the two.
        name: &'static str,
        /// What it is.
        percent: u8,
    },
    /// Data could be good and bad at once.
    #[error("PercentDataGood {good} and PercentDataBad {bad} overlap; their sum has to be at least 100")]
    Overlap {
        /// PercentDataGood.
        good: u8,
        /// PercentDataBad.
        bad: u8,
    },
    /// Start and end are the same time (Bad_InvalidArgument).
    #[error("the range starts and ends at {at}; give it a length")]
    Empty {
        /// The time.
        at: Instant,
    },
    /// A point came that is older than the one before it.
    #[error("a point of {time} came after one of {before}; give points in the order of their times")]
    Order {
        /// The point's time.
        time: Instant,
        /// The time of the point before it.
        before: Instant,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents_that_do_not_overlap() {
        let with = |good, bad| Configuration { percent_data_good: good, percent_data_bad: bad, ..Default::default() };
        for (good, bad, fits) in
            [(100, 100, true), (50, 50, true), (0, 100, true), (49, 50, false), (0, 0, false), (101, 100, false)]
        {
            assert_eq!(with(good, bad).check().is_ok(), fits, "{good} {bad}");
        }
        assert_eq!(Configuration::default().check(), Ok(()));
    }

    #[test]
    fn the_shares_decide_and_uncertain_data_never_gives_a_good_result() {
        let half = Configuration { percent_data_good: 50, percent_data_bad: 50, ..Default::default() };
        let any = Configuration { percent_data_good: 0, percent_data_bad: 100, ..Default::default() };
        let tenth = Configuration { percent_data_good: 80, percent_data_bad: 60, ..Default::default() };
        for (configuration, parts, class) in [
            (Configuration::default(), (9, 0, 1), Class::Uncertain),
            (Configuration::default(), (0, 0, 1), Class::Bad),
            (Configuration::default(), (1, 0, 0), Class::Good),
            (Configuration::default(), (1, 1, 0), Class::Uncertain),
            (half, (5, 0, 5), Class::Good),
            (half, (4, 0, 6), Class::Bad),
            (half, (0, 5, 5), Class::Uncertain),
            (any, (1, 0, 99), Class::Good),
            (any, (0, 0, 1), Class::Bad),
            (tenth, (8, 0, 2), Class::Good),
            (tenth, (7, 0, 3), Class::Uncertain),
            (tenth, (4, 0, 6), Class::Bad),
        ] {
            let (good, uncertain, bad) = parts;
            assert_eq!(configuration.weigh(good, uncertain, bad), class, "{parts:?}");
        }
    }
}
