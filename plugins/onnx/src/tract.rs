//! The models of strangers, run by `tract`. Nothing else knows that library.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{DimFact, DimLike, Factoid, ShapeFactoid};
use watchfire_detector::Refusal;

use crate::network::{Network, no_model};
use crate::settings::{Layout, Settings};

/// The operator sets that `tract` is tested with.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;
/// What is kept of a sentence of `tract`'s.
const SENTENCE_CHARS_MAX: usize = 300;

/// A model, ready to run.
pub struct Tract {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
}

/// A panic of the library is a line in the log, beside the trap that it ends in.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| watchfire_detector::log(1, &panic.to_string())));
}

impl Network for Tract {
    fn open(model: &[u8], settings: &Settings, signals: usize) -> Result<Self, Refusal> {
        let onnx = tract_onnx::onnx();
        let said = onnx.proto_model_for_read(&mut std::io::Cursor::new(model));
        let said =
            said.map_err(|_| no_model(format!("its {} bytes are no ONNX; save it as ONNX again", model.len())))?;
        check(&said)?;
        let read = onnx.model_for_proto_model(&said).map_err(|error| failed("it cannot be read", &error))?;
        let read = match &settings.output {
            None => read,
            Some(name) => {
                let mut read = read;
                let known = names(&said);
                let chosen = read.select_outputs_by_name([name]);
                chosen.map_err(|_| {
                    watchfire_detector::refuse("output", format!("the model has no `{name}`; it has {known}"))
                })?;
                read
            }
        };
        let shape = shape(&read, settings, signals)?;
        let fact = InferenceFact::dt_shape(f32::datum_type(), shape.iter().copied().collect::<ShapeFactoid>());
        let ready = read
            .with_input_fact(0, fact)
            .and_then(|read| read.into_optimized())
            .and_then(|typed| typed.into_runnable());
        let plan = ready.map_err(|error| failed("it cannot be run", &error))?;
        Ok(Self { plan, shape })
    }

    fn run(&mut self, window: &[f32]) -> Result<Vec<f32>, Refusal> {
        let run = || {
            let given = Tensor::from_shape(&self.shape, window)?;
            let answer = self.plan.run(tvec!(given.into()))?;
            let first = answer.first().map(|answer| answer.cast_to::<f32>());
            let Some(first) = first.transpose()? else { return Ok(Vec::new()) };
            Ok(first.to_plain_array_view::<f32>()?.iter().copied().collect())
        };
        run().map_err(|error: TractError| failed("it fails", &error))
    }
}

/// Refuses what no run would show.
fn check(model: &tract_onnx::pb::ModelProto) -> Result<(), Refusal> {
    let Some(graph) = &model.graph else { return Err(no_model("it has no graph; save it as ONNX again")) };
    let sets = model.opset_import.iter().filter(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let newest = sets.map(|set| set.version).max().unwrap_or(1);
    if !OPSETS.contains(&newest) {
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(no_model(format!(
            "it uses operator set {newest}, and {first} to {last} are known; save it with one of them"
        )));
    }
    if graph.initializer.iter().any(|tensor| !tensor.external_data.is_empty()) {
        return Err(no_model("its weights lie in another file; save it as one file"));
    }
    Ok(())
}

fn names(model: &tract_onnx::pb::ModelProto) -> String {
    let outputs = model.graph.iter().flat_map(|graph| &graph.output);
    outputs.map(|output| format!("`{}`", output.name)).collect::<Vec<_>>().join(", ")
}

/// The shape of the input, where all that the model leaves open is settled by the window.
fn shape(model: &InferenceModel, settings: &Settings, signals: usize) -> Result<Vec<usize>, Refusal> {
    let inputs = model.input_outlets().map_or(0, <[OutletId]>::len);
    if inputs != 1 {
        return Err(no_model(format!("it has {inputs} inputs, and a window is one; save it with one input")));
    }
    let fact = model.input_fact(0).map_err(|error| failed("it cannot be read", &error))?;
    if let Some(kind) = fact.datum_type.concretize().filter(|kind| *kind != f32::datum_type()) {
        return Err(no_model(format!("its input takes {kind:?}, and a window is of F32; save it so")));
    }
    let declared: Vec<Option<usize>> = fact.shape.dims().map(size).collect();
    let (rows, all) = (settings.window, settings.window * signals);
    let sides = match settings.layout {
        Layout::TimeSignal => [rows, signals],
        Layout::SignalTime => [signals, rows],
    };
    let shape = match declared.len() {
        1 => vec![all],
        2 if settings.window > 1 && declared.first().copied().flatten() == Some(sides[0]) && sides[0] > 1 => {
            sides.to_vec()
        }
        0 | 2 => vec![1, all],
        3 => vec![1, sides[0], sides[1]],
        4 => vec![1, 1, sides[0], sides[1]],
        rank => return Err(no_model(format!("its input has {rank} sides, and a window has 1 to 4"))),
    };
    let differs =
        declared.iter().zip(&shape).any(|(declared, side)| declared.is_some_and(|declared| declared != *side));
    if differs {
        let side = |side: &Option<usize>| side.map_or("?".to_owned(), |side| side.to_string());
        let declared = declared.iter().map(side).collect::<Vec<_>>().join("×");
        let given = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
        return Err(no_model(format!(
            "its input is {declared}, and a window ({rows} × {signals} signals) is {given}; correct `window`, `layout` or `signals`"
        )));
    }
    Ok(shape)
}

/// A side that the model settles itself.
fn size(side: &DimFact) -> Option<usize> {
    side.concretize().and_then(|side| side.to_usize().ok())
}

fn failed(what: &str, error: &TractError) -> Refusal {
    let sentence: String = format!("{error:#}").chars().take(SENTENCE_CHARS_MAX).collect();
    no_model(format!("{what}: {sentence}"))
}
