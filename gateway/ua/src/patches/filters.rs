//! What an event filter accepts, lets through and selects.

use super::select::{Told, compare, condition_id, filter, value_of};
use opcua::nodes::{DefaultTypeTree, ParsedEventFilter};
use opcua::types::{
    ByteString, ContentFilter, ContentFilterElement, DateTime, EventFilter, EventFilterResult, ExpandedNodeId,
    FilterOperator, Guid, LocalizedText, NodeClass, NodeId, ObjectTypeId, Operand, QualifiedName, StatusCode, UAString,
    Variant,
};
use std::slice::from_ref;

/// The event types of these tests, with one field declared on each.
fn types() -> DefaultTypeTree {
    let mut types = DefaultTypeTree::new();
    let chain = [
        (ObjectTypeId::BaseObjectType, ObjectTypeId::BaseEventType, "Message"),
        (ObjectTypeId::BaseEventType, ObjectTypeId::ConditionType, "Retain"),
        (ObjectTypeId::ConditionType, ObjectTypeId::AlarmConditionType, "InputNode"),
    ];
    for (index, (parent, id, field)) in (1_u32..).zip(chain) {
        types.add_type_node(&id.into(), &parent.into(), NodeClass::ObjectType);
        types.add_type_property(&NodeId::new(1, index), &id.into(), &[&field.into()], NodeClass::Variable);
    }
    types
}

fn parse(filter: EventFilter) -> (EventFilterResult, ParsedEventFilter) {
    let (result, parsed) = ParsedEventFilter::new(filter, &types());
    (result, parsed.expect("the filter as a whole is accepted"))
}

/// The fields that the filter selects of the event, if it lets it through.
fn fields_of(filter: EventFilter, event: &Told) -> Option<Vec<Variant>> {
    parse(filter).1.evaluate(event, 7, &types()).and_then(|list| list.event_fields)
}

fn passes(operator: FilterOperator, field: Variant, literals: &[Variant]) -> bool {
    let event = Told::new(ObjectTypeId::AlarmConditionType, vec![("Field", field)]);
    fields_of(filter(Vec::new(), Some(compare(operator, "Field", literals))), &event).is_some()
}

#[test]
fn an_unknown_field_is_null_and_those_after_it_keep_their_place() {
    let clauses = vec![
        value_of(ObjectTypeId::ConditionType, "Retain"),
        value_of(ObjectTypeId::ConditionType, "NoSuchField"),
        value_of(ObjectTypeId::BaseEventType, "Message"),
    ];
    let event = Told::new(
        ObjectTypeId::AlarmConditionType,
        vec![("Retain", true.into()), ("NoSuchField", 1.into()), ("Message", "hot".into())],
    );
    let (result, _) = parse(filter(clauses.clone(), None));
    assert_eq!(
        result.select_clause_results,
        Some(vec![StatusCode::Good, StatusCode::BadNodeIdUnknown, StatusCode::Good])
    );
    assert_eq!(fields_of(filter(clauses, None), &event), Some(vec![true.into(), Variant::Empty, "hot".into()]));
}

#[test]
fn equal_values_of_every_type_match_and_others_do_not() {
    let node = NodeId::new(2, "Oil");
    let cases: Vec<(Variant, Variant, Variant)> = vec![
        (node.clone().into(), node.clone().into(), NodeId::new(3, "Oil").into()),
        (
            node.clone().into(),
            ExpandedNodeId::from(node.clone()).into(),
            ExpandedNodeId::from(NodeId::new(2, 1)).into(),
        ),
        (ExpandedNodeId::from(node.clone()).into(), node.into(), NodeId::new(2, "Water").into()),
        (UAString::from("oil").into(), UAString::from("oil").into(), UAString::from("Oil").into()),
        (DateTime::ymd(2024, 5, 1).into(), DateTime::ymd(2024, 5, 1).into(), DateTime::ymd(2024, 5, 2).into()),
        (ByteString::from(vec![1, 2]).into(), ByteString::from(vec![1, 2]).into(), ByteString::from(vec![1]).into()),
        (guid(1).into(), guid(1).into(), guid(2).into()),
        (StatusCode::Good.into(), StatusCode::Good.into(), StatusCode::Bad.into()),
        (text("hot").into(), text("hot").into(), text("cold").into()),
        (text("hot").into(), UAString::from("hot").into(), UAString::from("cold").into()),
        (name("Oil").into(), name("Oil").into(), name("Water").into()),
        (vec![1_i32, 2].into(), vec![1_i32, 2].into(), vec![2_i32, 1].into()),
    ];
    for (field, same, other) in cases {
        assert!(passes(FilterOperator::Equals, field.clone(), from_ref(&same)), "{field:?} equals {same:?}");
        assert!(!passes(FilterOperator::Equals, field.clone(), from_ref(&other)), "{field:?} is not {other:?}");
        assert!(passes(FilterOperator::InList, field.clone(), &[other.clone(), same]), "{field:?} is in the list");
        assert!(!passes(FilterOperator::InList, field.clone(), &[other.clone(), other]), "{field:?} is not in it");
    }
}

fn guid(number: u128) -> Guid {
    format!("{number:08}-0000-0000-0000-000000000000").parse().expect("a guid")
}

fn text(text: &str) -> LocalizedText {
    LocalizedText::new("en", text)
}

fn name(name: &str) -> QualifiedName {
    QualifiedName::new(2, name)
}

#[test]
fn times_and_strings_have_an_order() {
    let day = |day| Variant::from(DateTime::ymd(2024, 5, day));
    assert!(passes(FilterOperator::GreaterThan, day(2), &[day(1)]));
    assert!(!passes(FilterOperator::GreaterThan, day(1), &[day(2)]));
    assert!(passes(FilterOperator::Between, day(2), &[day(1), day(3)]));
    assert!(passes(FilterOperator::LessThan, UAString::from("a").into(), &[UAString::from("b").into()]));
}

#[test]
fn a_pattern_means_what_the_standard_says() {
    for (pattern, fits, other) in [
        ("l_vel", "level", "lvel"),
        ("l[ae]v_l/%", "level/limit", "lvl/limit"),
        ("%en%", "content", "cotet"),
        ("a|b", "a|b", "a"),
        ("b{2}", "b{2}", "bb"),
        ("50\\%", "50%", "500"),
        ("a\\_b", "a_b", "axb"),
        ("[^13-5]%", "2\n2", "4"),
        ("", "", "x"),
    ] {
        let text = |text: &str| Variant::from(UAString::from(text));
        assert!(passes(FilterOperator::Like, text(fits), &[text(pattern)]), "{fits} is like {pattern}");
        assert!(!passes(FilterOperator::Like, text(other), &[text(pattern)]), "{other} is not like {pattern}");
    }
}

#[test]
fn a_missing_field_equals_nothing_and_a_node_id_has_no_order() {
    assert!(!passes(FilterOperator::Equals, Variant::Empty, &[Variant::Empty]));
    let (one, two) = (Variant::from(NodeId::new(1, 1)), Variant::from(NodeId::new(1, 2)));
    assert!(!passes(FilterOperator::LessThan, one.clone(), from_ref(&two)));
    assert!(!passes(FilterOperator::GreaterThan, one, &[two]));
}

#[test]
fn the_list_of_event_types_that_asyncua_sends_lets_alarms_through() {
    let listed = [ObjectTypeId::ConditionType, ObjectTypeId::AlarmConditionType].map(|id| NodeId::from(id).into());
    let asked = filter(Vec::new(), Some(compare(FilterOperator::InList, "EventType", &listed)));
    assert!(fields_of(asked.clone(), &Told::alarm("hot")).is_some());
    assert!(fields_of(asked, &Told::new(ObjectTypeId::AuditEventType, Vec::new())).is_none());
}

#[test]
fn a_field_is_found_on_every_subtype_of_the_type_that_declares_it() {
    let clauses = vec![
        value_of(ObjectTypeId::AlarmConditionType, "Message"),
        value_of(ObjectTypeId::AlarmConditionType, "Retain"),
        value_of(ObjectTypeId::AlarmConditionType, "InputNode"),
        value_of(ObjectTypeId::ConditionType, "InputNode"),
    ];
    let (result, _) = parse(filter(clauses, None));
    assert_eq!(
        result.select_clause_results,
        Some(vec![StatusCode::Good, StatusCode::Good, StatusCode::Good, StatusCode::BadNodeIdUnknown])
    );
}

#[test]
fn the_condition_id_is_selected_by_a_null_or_an_empty_path() {
    let clauses = vec![condition_id(None), condition_id(Some(Vec::new()))];
    let id = Variant::from(NodeId::new(1, "press/overheating"));
    assert_eq!(fields_of(filter(clauses, None), &Told::alarm("hot")), Some(vec![id.clone(), id]));

    let unknown_type =
        opcua::types::SimpleAttributeOperand { type_definition_id: NodeId::new(9, "NoSuchType"), ..condition_id(None) };
    let (result, _) = parse(filter(vec![unknown_type], None));
    assert_eq!(result.select_clause_results, Some(vec![StatusCode::BadNodeIdUnknown]));
}

#[test]
fn markers_pass_a_where_clause_that_no_other_event_passes() {
    let nothing = compare(FilterOperator::Equals, "Message", &[UAString::from("never said").into()]);
    let asked = filter(vec![value_of(ObjectTypeId::BaseEventType, "EventType")], Some(nothing));
    for marker in [
        ObjectTypeId::RefreshStartEventType,
        ObjectTypeId::RefreshEndEventType,
        ObjectTypeId::RefreshRequiredEventType,
        ObjectTypeId::EventQueueOverflowEventType,
    ] {
        let told = fields_of(asked.clone(), &Told::new(marker, Vec::new()));
        assert_eq!(told, Some(vec![NodeId::from(marker).into()]), "{marker:?}");
    }
    assert_eq!(fields_of(asked, &Told::alarm("hot")), None);
}

#[test]
fn a_filter_that_takes_too_much_work_is_refused_at_once() {
    let refer = |next: u32, times: usize| {
        let operator = if times == 1 { FilterOperator::Not } else { FilterOperator::And };
        ContentFilterElement::from((operator, vec![Operand::element(next); times]))
    };
    let last = || ContentFilterElement::from((FilterOperator::IsNull, vec![Operand::literal(1)]));
    let chain = |length: u32, times: usize| {
        let elements = (1..length).map(|next| refer(next, times)).chain([last()]).collect();
        EventFilter { where_clause: ContentFilter { elements: Some(elements) }, ..filter(Vec::new(), None) }
    };
    for (length, times, good) in [(60, 1, true), (66, 1, false), (20_000, 1, false), (12, 2, true), (60, 2, false)] {
        let parsed = ParsedEventFilter::new(chain(length, times), &types()).1.map(drop);
        assert_eq!(parsed, if good { Ok(()) } else { Err(StatusCode::BadEventFilterInvalid) }, "{length}, {times}");
    }
}
