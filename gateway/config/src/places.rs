//! Where keys were written, for those who find something wrong with them later: a plugin's schema judges its own table.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use crate::report::Report;

/// Deeper keys are told by what is around them.
const DEPTH_MAX: usize = 32;

/// File and line of each key below a table, by the keys that lead to it, joined by `.`; of the table itself by nothing.
/// No two are different: a configuration in which lines have moved says the same.
#[derive(Clone, Debug, Default)]
pub struct Places(pub BTreeMap<String, String>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// The places in a table.
    pub(crate) fn of(value: &Spanned<DeValue<'_>>, report: &Report) -> Self {
        let mut places = BTreeMap::new();
        collect(value, value.span().start, String::new(), 0, &mut |key, at| {
            places.insert(key, report.place(at));
        });
        Self(places)
    }
}

fn collect(value: &Spanned<DeValue<'_>>, at: usize, keys: String, depth: usize, found: &mut dyn FnMut(String, usize)) {
    if depth > DEPTH_MAX {
        return;
    }
    let under = |key: &str| if keys.is_empty() { key.to_owned() } else { format!("{keys}.{key}") };
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, item) in table {
                collect(item, key.span().start, under(key.get_ref()), depth + 1, found);
            }
        }
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, item.span().start, under(&index.to_string()), depth + 1, found);
            }
        }
        _ => {}
    }
    found(keys, at);
}
