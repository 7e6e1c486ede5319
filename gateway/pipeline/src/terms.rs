//! What a source asks of its server that the server may revise (OPC 10000-4 §5.13.2 and §5.14.2), and what it gave.

use std::collections::BTreeMap;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// How often a subscription is published, milliseconds.
    PublishingInterval,
    /// After how many publishing intervals without anything to tell a subscription says that it is there.
    KeepAliveCount,
    /// How many publishing intervals it outlives without its client.
    LifetimeCount,
    /// How often an item is sampled, milliseconds.
    SamplingInterval,
    /// How many values, or events, an item queues.
    QueueSize,
}

/// What was given to those that asked for the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
    /// How many asked.
    pub of: u64,
}

/// What was asked for, as often as differently, and what was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms(BTreeMap<(Term, u64), Given>);

impl Terms {
    /// That something was asked for, and what was given. Neither is negative.
    pub fn add(&mut self, term: Term, asked: f64, given: f64) {
        self.take(term, asked, Given { least: given, most: given, of: 1 });
    }

    /// That others were as well.
    pub fn append(&mut self, others: &Self) {
        others.iter().for_each(|(term, asked, given)| self.take(term, asked, given));
    }

    fn take(&mut self, term: Term, asked: f64, Given { least, most, of }: Given) {
        let given = self.0.entry((term, asked.to_bits())).or_insert(Given { least, most, of: 0 });
        *given = Given { least: given.least.min(least), most: given.most.max(most), of: given.of + of };
    }

    /// All: what, asked for, and given.
    pub fn iter(&self) -> impl Iterator<Item = (Term, f64, Given)> + '_ {
        self.0.iter().map(|((term, asked), given)| (*term, f64::from_bits(*asked), *given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_a_range_for_each_that_was_asked_for() {
        let (mut terms, mut more) = (Terms::default(), Terms::default());
        terms.add(Term::SamplingInterval, 100.0, 250.0);
        terms.add(Term::SamplingInterval, 1000.0, 1000.0);
        more.add(Term::SamplingInterval, 100.0, 100.0);
        more.add(Term::QueueSize, 100.0, 10.0);
        terms.append(&more);
        let found: Vec<_> =
            terms.iter().map(|(term, asked, given)| (term, asked, given.least, given.most, given.of)).collect();
        let expected = [
            (Term::SamplingInterval, 100.0, 100.0, 250.0, 2),
            (Term::SamplingInterval, 1000.0, 1000.0, 1000.0, 1),
            (Term::QueueSize, 100.0, 10.0, 10.0, 1),
        ];
        assert_eq!(found, expected);
    }
}
