//! What a server is found to have: selections, units, ranges, descriptions; and signals by their browse paths.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use opcua::types::StatusCode as UaStatusCode;
use watchfire_config::{Config, SourceConfig};
use watchfire_model::{SignalId, StatusCode, SystemClock};

use super::catalogue::{Catalogue, MANY, NAMESPACE, start_catalogue};
use super::harness::{config, quick, signal, start_source};
use crate::{Survey, survey};

/// The configuration of one source with `rest` in it.
fn configured(server: &Catalogue, rest: &str) -> Config {
    let text = format!("[[source]]\nname = 'plant'\nurl = '{}'\nsecurity = 'none'\n{rest}", server.url);
    Config::parse(&text, "test", Path::new("")).unwrap_or_else(|told| panic!("{told}"))
}

async fn surveyed(source: &SourceConfig) -> Survey {
    let dir = tempfile::tempdir().unwrap();
    survey(source, dir.path().join("pki"), Arc::new(SystemClock)).await.unwrap()
}

/// The names and nodes of all signals after a survey, and its troubles.
async fn names(server: &Catalogue, rest: &str) -> (Vec<String>, Vec<String>) {
    let config = configured(server, rest);
    let Survey { found, mut troubles } = surveyed(&config.sources[0]).await;
    let (config, untaken) = config.with_found(&HashMap::from([("plant".to_owned(), found)]));
    troubles.extend(untaken);
    (config.sources[0].signals.iter().map(|signal| signal.name.clone()).collect(), troubles)
}

#[tokio::test]
async fn selections_find_variables_by_their_way_and_by_their_type() {
    let server = start_catalogue().await;
    let (found, troubles) = names(&server, "select = [{ path = '/Plant/*/Speed', below = '/Plant' }]").await;
    assert_eq!(found, ["plant/Pump 1/Speed", "plant/Pump 2/Speed", "plant/Spare/Speed"]);
    assert_eq!(troubles, [""; 0]);

    let by_type = "select = [{ type = 'AnalogItemType', exclude = ['/**/Spare/**'] }]";
    let (found, troubles) = names(&server, by_type).await;
    assert_eq!(found, ["plant/Plant/Pump 1/Speed", "plant/Plant/Pump 2/Speed", "plant/Plant/Tank/Level"]);
    assert_eq!(troubles, ["1 arrays are left out of the selections"]);

    let vendors = "select = [{ path = '/Plant/Pump*/**', type = 'VendorAnalogType' }]";
    assert_eq!(names(&server, vendors).await.0, ["plant/Plant/Pump 1/Speed", "plant/Plant/Pump 2/Speed"]);
}

#[tokio::test]
async fn what_cannot_be_a_signal_is_left_out_and_told_and_holds_up_no_other() {
    let server = start_catalogue().await;
    let rest = "signal = [{ name = 'level', node = '/Plant/Tank/1:Nothing' }]
        select = [
            { path = '/Plant/Tank/*', below = '/Plant/Tank' },
            { path = '/Plant/Nothing/*' },
            { type = 'NoSuchType' },
            { path = '/Plant/**/Name' },
        ]";
    let (found, troubles) = names(&server, rest).await;
    let known =
        ["plant/level", "plant/Level", "plant/Plant/Pump 1/Name", "plant/Plant/Pump 2/Name", "plant/Plant/Spare/Name"];
    assert_eq!(found, known);
    for part in [
        "`NoSuchType`",
        "`/Plant/Nothing/*` names no variable",
        "1 arrays",
        "1 structures",
        "1 variables that the gateway's user may not read",
        "is left out: its name `plant/Level` is that of",
    ] {
        assert!(troubles.iter().any(|trouble| trouble.contains(part)), "{part}: {troubles:?}");
    }
}

#[tokio::test]
async fn a_folder_larger_than_any_answer_is_found_whole_and_a_loop_has_an_end() {
    let server = start_catalogue().await;
    let config = configured(&server, "read_metadata = false\nprofile = 'small'\nselect = [{ path = '/**' }]");
    let found = surveyed(&config.sources[0]).await.found;
    let many = found.signals.iter().filter(|signal| signal.path[0] == "Many").count();
    assert_eq!(many, MANY);
    let plant: Vec<String> =
        found.signals.iter().filter(|signal| signal.path[0] == "Plant").map(|signal| signal.path.join("/")).collect();
    // Three speeds, three names, two levels: each by its shortest way.
    assert_eq!(plant.len(), 8, "{plant:?}");
    assert!(plant.contains(&"Plant/Spare/Speed".to_owned()), "{plant:?}");
    assert!(found.signals.iter().all(|signal| signal.path[0] != "Server"));
    assert!(found.signals.iter().all(|signal| signal.node.starts_with(&format!("nsu={NAMESPACE};"))));
}

#[tokio::test]
async fn unit_range_and_description_come_from_the_server_unless_configured() {
    let server = start_catalogue().await;
    let rest = format!(
        "signal = [
            {{ name = 'speed', node = 'nsu={NAMESPACE};s=Plant/Pump 1/Speed' }},
            {{ name = 'level', node = 'nsu={NAMESPACE};/Plant/Tank/Level', description = 'ours' }},
            {{ name = 'other', node = '/Plant/Pump 2/Speed', unit = 'Hz', range = [1, 2] }},
            {{ name = 'gone', node = 'nsu={NAMESPACE};s=gone' }},
        ]
        select = [{{ path = '/Plant/*/Speed', range = [0, 1] }}]"
    );
    let config = configured(&server, &rest);
    let found = surveyed(&config.sources[0]).await.found;
    let (config, untaken) = config.with_found(&HashMap::from([("plant".to_owned(), found)]));
    let [speed, level, other, gone, spare] = &config.sources[0].signals[..] else { panic!("{config:?} {untaken:?}") };
    assert_eq!((speed.unit.as_deref(), speed.range), (Some("/min"), Some((0.0, 3600.0))));
    // An EURange without extent is none; the instrument's is.
    assert_eq!((level.unit.as_deref(), level.range), (Some("uS/cm"), Some((0.0, 12.5))));
    assert_eq!(level.description, "ours");
    assert_eq!((other.unit.as_deref(), other.range), (Some("Hz"), Some((1.0, 2.0))));
    assert_eq!((gone.unit.as_deref(), gone.range, gone.description.as_str()), (None, None, ""));
    assert_eq!((spare.name.as_str(), spare.unit.as_deref()), ("plant/Plant/Spare/Speed", Some("/min")));
    assert_eq!(spare.range, Some((0.0, 1.0)), "the selection's own goes before the server's");
}

#[tokio::test]
async fn signals_by_browse_path_are_watched_and_a_wrong_path_is_told() {
    let server = start_catalogue().await;
    let qualified = |path: &str| format!("nsu={NAMESPACE};{path}");
    let watched = vec![
        signal("speed", "/Plant/Pump 1/Speed"),
        signal("second", &qualified("/Plant/Pump 2/Speed")),
        signal("level", &qualified("/Plant/Tank/Level")),
        signal("ambiguous", "/Plant/Tank/Level"),
        signal("nowhere", &qualified("/Plant/Pump 9/Speed")),
        signal("gone", "/Plant/Pump 9/Speed"),
        signal("elsewhere", "nsu=urn:elsewhere;/Plant/Tank/Level"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&server.url, watched), dir.path().join("pki"), quick());
    let mut refused = Vec::new();
    for _ in 0..4 {
        refused.push(source.until_refused().await);
    }
    refused.sort_by_key(|(signal, _)| *signal);
    let status = |status: UaStatusCode| StatusCode(status.bits());
    assert_eq!(
        refused,
        [
            (SignalId(3), status(UaStatusCode::BadTooManyMatches)),
            (SignalId(4), status(UaStatusCode::BadNoMatch)),
            (SignalId(5), status(UaStatusCode::BadNoMatch)),
            (SignalId(6), status(UaStatusCode::BadNoMatch)),
        ]
    );
    source.until_values(3).await;
    source.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_nothing_more() {
    let config = Config::parse(
        "source = [{ name = 'p', url = 'opc.tcp://127.0.0.1:1', security = 'none', select = [{ path = '/**' }] }]",
        "test",
        Path::new(""),
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = survey(&config.sources[0], dir.path().join("pki"), Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains("cannot reach"), "{error}");
}
