//! The demonstration's configuration watches what the plant shows: every signal, under its own name, unit and range.

use std::path::Path;

use watchfire_config::Config;
use watchfire_model::Kind;
use watchfire_plant::signals;

#[test]
fn the_demonstration_watches_all_that_the_plant_shows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/demo.toml");
    let config = Config::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
    let source = &config.sources[0];
    assert_eq!((source.name.as_str(), source.url.port), ("plant", 4841));
    assert_eq!(source.signals.len(), signals().len());
    for shown in signals() {
        let name = format!("plant/{}", shown.name);
        let watched = source.signals.iter().find(|signal| signal.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(watched.node.to_string(), shown.node());
        assert_eq!(watched.unit.as_deref().unwrap_or_default(), shown.unit, "{name}");
        assert_eq!(watched.description, shown.description);
        if let Some(range) = watched.range {
            assert_eq!(range, shown.range, "{name}");
        } else {
            assert!(matches!(shown.kind, Kind::Boolean | Kind::Text), "{name} needs its range");
        }
        assert!(watched.sampling_interval.as_millis() < u128::from(shown.update_ms), "{name} is sampled too slowly");
    }
}
