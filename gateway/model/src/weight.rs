//! How much memory rows and records hold, so that a queue can be bounded by bytes and not only by how many it holds.
//!
//! Estimates: what a column's elements take and what hangs from them, without an allocator's rounding or a vector's
//! spare room. Knows nothing of how records are stored.

use crate::{
    AlarmState, Control, Frame, Gap, Instant, PlainEvent, Quality, Record, RecordBody, Rows, SignalId, StatusCode,
    Verdict,
};

/// What a row takes in the five columns that every row has.
const ROW_BYTES: usize =
    size_of::<SignalId>() + size_of::<Instant>() + size_of::<f64>() + size_of::<StatusCode>() + size_of::<Quality>();

/// The room of `count` elements of a type.
const fn room<T>(count: usize) -> usize {
    count.saturating_mul(size_of::<T>())
}

impl Rows {
    /// About how many bytes the rows hold. Costs a pass over the texts alone.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts: usize = self.text.iter().map(|(_, text)| text.len()).sum();
        ROW_BYTES.saturating_mul(self.len())
            + room::<i64>(self.skew_ns.len())
            + room::<(u32, i64)>(self.exact.len())
            + room::<(u32, String)>(self.text.len())
            + texts
    }
}

impl Frame {
    /// About how many bytes the frame holds. Costs a pass over the texts alone.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.rows.weight() + room::<Gap>(self.gaps.len())
    }
}

impl RecordBody {
    /// About how many bytes the record holds, itself included: never 0, and never less than what its texts, states and
    /// evidence take. Costs a pass over its texts, transitions and verdicts.
    #[must_use]
    pub fn weight(&self) -> usize {
        let held = match self {
            Self::Data(frame) => frame.weight(),
            Self::Control(control) => control.weight(),
            Self::Decided(decided) => {
                let verdicts: usize = decided.verdicts.iter().map(Verdict::weight).sum();
                let events: usize = decided.events.iter().map(PlainEvent::weight).sum();
                decided.binding.len() + verdicts + weight_of(&decided.transitions) + events
            }
            Self::Commanded { command, transitions } => {
                let comment = command.comment.as_ref().map_or(0, |(locale, text)| locale.len() + text.len());
                let words = command.key.as_str().len() + command.event_id.len() + command.user.len() + comment;
                words + weight_of(transitions)
            }
        };
        size_of::<Record>() + held
    }
}

fn weight_of(transitions: &[AlarmState]) -> usize {
    let held: usize = transitions.iter().map(|state| state.key.as_str().len() + state.state.len()).sum();
    room::<AlarmState>(transitions.len()) + held
}

impl Verdict {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.why.len() + room::<crate::Finding>(self.evidence.len())
    }
}

impl Control {
    fn weight(&self) -> usize {
        match self {
            Self::DetectorStarted { binding, digest, config_hash, .. } => {
                binding.len() + digest.len() + config_hash.len()
            }
            Self::DetectorFault { binding, reason, .. } => binding.len() + reason.len(),
            Self::Filled { source, fills } => source.len() + room::<crate::Fill>(fills.len()),
            Self::DetectorPhase { binding, .. } | Self::DetectorSkipped { binding, .. } => binding.len(),
            Self::Source { source, reason, .. } | Self::SourceEnded { source, reason } => source.len() + reason.len(),
            Self::Forgot { binding, by, .. } => binding.len() + by.len(),
            Self::Gated { binding, gates } => {
                let ids: usize = gates.iter().map(|gate| gate.condition.len()).sum();
                binding.len() + room::<crate::GateSet>(gates.len()) + ids
            }
            Self::DetectorEnded { binding, reason } => binding.len() + reason.len(),
            Self::Awaited { source, awaited, settled, .. } => {
                source.len() + room::<crate::Awaited>(awaited.len()) + room::<crate::AwaitedKey>(settled.len())
            }
            Self::Upgraded { binding, digest, kept_as, by, .. } => {
                binding.len() + digest.len() + kept_as.len() + by.len()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlarmCommand, CommandKind, ConditionKey, Decided, Finding, Level, Lsn};

    const MB: usize = 1 << 20;

    fn data(rows: usize, text: usize) -> RecordBody {
        let mut frame = Frame::default();
        for _ in 0..rows {
            frame.rows.push(SignalId(1), Instant::default(), 1.0, StatusCode::GOOD, Quality::NONE, 0);
        }
        if text > 0 {
            frame.rows.set_text("x".repeat(text));
        }
        RecordBody::Data(frame)
    }

    fn state(bytes: usize) -> AlarmState {
        AlarmState { key: ConditionKey::new("a", "b", ""), state: vec![0; bytes] }
    }

    #[test]
    fn a_record_weighs_what_hangs_from_it_and_not_how_many_rows_it_has() {
        let verdict = Verdict {
            condition: 0,
            instance: 0,
            at: Instant::default(),
            level: Level::High,
            score: None,
            why: "y".repeat(MB),
            evidence: vec![Finding { signal: 0, observed: 0.0, low: None, high: None, share: 1.0 }; 1000],
        };
        let decided = |verdicts, transitions| {
            RecordBody::Decided(Decided { binding: "hot".into(), frame: Lsn(1), verdicts, transitions, events: vec![] })
        };
        let command = AlarmCommand {
            key: ConditionKey::new("a", "b", ""),
            kind: CommandKind::AddComment,
            event_id: vec![],
            comment: Some(("en".into(), "z".repeat(MB))),
            user: "op".into(),
            at: Instant::default(),
        };
        let trouble = |reason| Control::Source { source: "s".into(), state: crate::SourceState::Down, reason };
        let (row, small) = (ROW_BYTES, 1024);
        for (body, least, most) in [
            (data(0, 0), 1, small),
            (data(1000, 0), 1000 * row, 1000 * row + small),
            (data(1, MB), MB, MB + small),
            (RecordBody::Control(trouble("r".repeat(MB))), MB, MB + small),
            (decided(vec![verdict], vec![]), MB + 1000 * size_of::<Finding>(), MB + 200 * small),
            (decided(vec![], vec![state(700); 50_000]), 35_000_000, 40_000_000),
            (RecordBody::Commanded { command, transitions: vec![state(10)] }, MB, MB + small),
        ] {
            let weight = body.weight();
            assert!((least..=most).contains(&weight), "{weight} is not within {least}..={most}");
        }
    }
}
