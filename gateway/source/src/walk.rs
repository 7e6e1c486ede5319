//! Walks an address space for selections: from the Objects folder along every hierarchical reference, as far as a
//! pattern leads. A node that has been seen with the same patterns open is not seen again, so that loops end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opcua::types::{NodeClass, NodeId, ObjectId, ReferenceDescription, VariableTypeId};
use watchfire_config::{PathPattern, Progress, SelectConfig};

use crate::SourceError;
use crate::browse::{Below, Browser, is_property};

/// Nodes looked at in one step.
const STEP_NODES: usize = 2_000;
/// Nobody has so many; an address space that makes up nodes while it is browsed has no end.
const SEEN_MAX: usize = 5_000_000;

/// A variable that a selection names.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// The selection, by its place.
    pub select: usize,
    /// The browse names to it.
    pub path: Vec<String>,
    pub node: NodeId,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub hits: Vec<Hit>,
    /// What is wrong with the selections themselves, for people.
    pub troubles: Vec<String>,
}

/// A name on the way, and those before it.
struct Step {
    name: String,
    before: Option<Arc<Step>>,
}

/// How far one selection is on a way.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Open {
    path: Progress,
    exclude: Vec<Progress>,
}

/// A node to look below.
struct Place {
    node: NodeId,
    way: Option<Arc<Step>>,
    open: Vec<Open>,
}

/// Finds what the selections name, nearest to the Objects folder first.
pub(crate) async fn walk(browser: &mut Browser, selects: &[SelectConfig]) -> Result<Walked, SourceError> {
    let mut walked = Walked::default();
    let types = Types::named(browser, selects, &mut walked.troubles).await?;
    let open = |select: &SelectConfig| Open {
        path: select.path.begin(),
        exclude: select.exclude.iter().map(PathPattern::begin).collect(),
    };
    let mut places =
        vec![Place { node: ObjectId::ObjectsFolder.into(), way: None, open: selects.iter().map(open).collect() }];
    let mut seen: HashSet<(NodeId, Vec<Open>)> = HashSet::new();
    let mut hit: HashSet<(usize, NodeId)> = HashSet::new();
    while !places.is_empty() {
        let mut next = Vec::new();
        for chunk in places.chunks(STEP_NODES) {
            let nodes: Vec<NodeId> = chunk.iter().map(|place| place.node.clone()).collect();
            let below = browser.below(&nodes, Below::Children).await?;
            for (place, children) in chunk.iter().zip(below) {
                for child in children.into_iter().filter(|child| !is_property(child)) {
                    let (found, further) = step(place, &child, selects, &types);
                    let hits = found.into_iter().filter(|hit_now| hit.insert((hit_now.select, hit_now.node.clone())));
                    walked.hits.extend(hits);
                    next.extend(further.filter(|place| seen.insert((place.node.clone(), place.open.clone()))));
                }
            }
        }
        if seen.len() > SEEN_MAX {
            walked
                .troubles
                .push(format!("the address space has more than {SEEN_MAX} nodes: the rest is not looked at"));
            break;
        }
        places = next;
    }
    let named: HashSet<usize> = walked.hits.iter().map(|hit| hit.select).collect();
    for (_, select) in selects.iter().enumerate().filter(|(at, _)| !named.contains(at)) {
        let key = select.key();
        walked
            .troubles
            .push(format!("the selection `{key}` names no variable; `watchfire browse` shows what there is"));
    }
    Ok(walked)
}

/// One reference further: what the node at its end is to the selections, and where to go on.
fn step(
    place: &Place,
    child: &ReferenceDescription,
    selects: &[SelectConfig],
    types: &Types,
) -> (Vec<Hit>, Option<Place>) {
    let node = &child.node_id.node_id;
    let name = child.browse_name.name.as_ref();
    let way = Arc::new(Step { name: name.to_owned(), before: place.way.clone() });
    let is_server = *node == ObjectId::Server;
    let (mut hits, mut open, mut leads_on) = (Vec::new(), Vec::with_capacity(selects.len()), false);
    for (at, (select, before)) in selects.iter().zip(&place.open).enumerate() {
        let exclude: Vec<Progress> =
            select.exclude.iter().zip(&before.exclude).map(|(pattern, before)| pattern.step(*before, name)).collect();
        let is_excluded = select.exclude.iter().zip(&exclude).any(|(pattern, now)| pattern.is_match(*now));
        let is_skipped = is_server && select.path.first_name() != Some(name);
        let path = if is_skipped { Progress::NONE } else { select.path.step(before.path, name) };
        let is_wanted = child.node_class == NodeClass::Variable && types.fits(at, &child.type_definition.node_id);
        if select.path.is_match(path) && !is_excluded && is_wanted {
            hits.push(Hit { select: at, path: names(&way), node: node.clone() });
        }
        let path = if select.path.leads_on(path) { path } else { Progress::NONE };
        leads_on |= path != Progress::NONE;
        open.push(Open { path, exclude });
    }
    (hits, leads_on.then(|| Place { node: node.clone(), way: Some(way), open }))
}

fn names(way: &Step) -> Vec<String> {
    let mut names = vec![way.name.clone()];
    let mut before = &way.before;
    while let Some(step) = before {
        names.push(step.name.clone());
        before = &step.before;
    }
    names.reverse();
    names
}

/// The types that each selection allows; `None` for all.
struct Types(Vec<Option<HashSet<NodeId>>>);

impl Types {
    /// Looks up the selections' types by their names, with all that are derived from them.
    async fn named(
        browser: &mut Browser,
        selects: &[SelectConfig],
        troubles: &mut Vec<String>,
    ) -> Result<Self, SourceError> {
        if selects.iter().all(|select| select.of_type.is_none()) {
            return Ok(Self(vec![None; selects.len()]));
        }
        let (derived, names) = variable_types(browser).await?;
        let allowed = |name: &String| {
            let mut allowed: HashSet<NodeId> = HashSet::new();
            let mut next: Vec<&NodeId> = names.get(name).into_iter().flatten().collect();
            if next.is_empty() {
                troubles.push(format!(
                    "there is no type of variables `{name}` on the server; a type reads `AnalogItemType`"
                ));
            }
            while let Some(node) = next.pop() {
                if allowed.insert(node.clone()) {
                    next.extend(derived.get(node).into_iter().flatten());
                }
            }
            allowed
        };
        let wanted: Vec<Option<&String>> = selects.iter().map(|select| select.of_type.as_ref()).collect();
        let mut allowed = allowed;
        Ok(Self(wanted.into_iter().map(|name| name.map(&mut allowed)).collect()))
    }

    fn fits(&self, select: usize, of_type: &NodeId) -> bool {
        self.0.get(select).and_then(Option::as_ref).is_none_or(|allowed| allowed.contains(of_type))
    }
}

type Derived = HashMap<NodeId, Vec<NodeId>>;
type ByName = HashMap<String, Vec<NodeId>>;

/// Every type of variables: what is derived from each, and what is called how.
async fn variable_types(browser: &mut Browser) -> Result<(Derived, ByName), SourceError> {
    let root: NodeId = VariableTypeId::BaseVariableType.into();
    let (mut derived, mut names) = (Derived::new(), ByName::new());
    names.insert("BaseVariableType".to_owned(), vec![root.clone()]);
    let (mut seen, mut next) = (HashSet::from([root.clone()]), vec![root]);
    while !next.is_empty() {
        let below = browser.below(&next, Below::Subtypes).await?;
        let mut further = Vec::new();
        for (of, subtypes) in next.into_iter().zip(below) {
            for subtype in subtypes {
                let node = subtype.node_id.node_id;
                derived.entry(of.clone()).or_default().push(node.clone());
                if seen.insert(node.clone()) {
                    names.entry(subtype.browse_name.name.as_ref().to_owned()).or_default().push(node.clone());
                    further.push(node);
                }
            }
        }
        next = further;
    }
    Ok((derived, names))
}
