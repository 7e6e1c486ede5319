//! Dictionaries as makers write them, as the standard allows them, and as nobody should; and bytes that do not match.

use std::time::Duration;

use opcua::types::{ByteString, ByteStringBody, ExtensionObject, NodeId, Variant};
use tokio::time::Instant as Timer;

use super::*;
use crate::value_json;

/// What is quick takes a part of a second; without its bounds it would take hours.
const PATIENCE: Duration = Duration::from_secs(60);

/// A dictionary around some types.
fn dictionary(types: &str) -> Dictionary {
    let text = format!(
        r#"<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/"
           xmlns:tns="urn:t" TargetNamespace="urn:t" DefaultByteOrder="LittleEndian">{types}</opc:TypeDictionary>"#
    );
    Dictionary::parse(text.as_bytes()).unwrap()
}

fn structure(name: &str, fields: &str) -> String {
    format!(r#"<opc:StructuredType Name="{name}">{fields}</opc:StructuredType>"#)
}

fn field(name: &str, rest: &str) -> String {
    format!(r#"<opc:Field Name="{name}" {rest}/>"#)
}

fn id(name: &str) -> NodeId {
    NodeId::new(2, name)
}

/// Layouts of some types of a dictionary, and which cannot be read.
fn layouts(types: &str, names: &[&str]) -> (Layouts, Vec<Unread>) {
    let described: Vec<Described> =
        names.iter().map(|name| Described { ids: vec![id(name)], dictionary: 0, name: (*name).to_owned() }).collect();
    let mut layouts = Layouts::default();
    let unread = layouts.add_described(&[dictionary(types)], &described);
    (layouts, unread)
}

fn raw(name: &str, bytes: &[u8]) -> Variant {
    Variant::ExtensionObject(ExtensionObject::new(ByteStringBody::new(ByteString::from(bytes.to_vec()), id(name))))
}

/// What bytes are as a type's value, as JSON.
fn read(types: &str, name: &str, bytes: &[u8]) -> String {
    let (layouts, unread) = layouts(types, &[name]);
    assert_eq!(unread, vec![], "{types}");
    value_json(layouts.open(raw(name, bytes))).unwrap()
}

const UNDECODABLE: &str = "\"structure that does not match its description\"";

#[test]
fn what_dictionaries_say_is_read() {
    let plain = field("A", r#"TypeName="opc:Int16""#) + &field("B", r#"TypeName="ua:String""#);
    assert_eq!(read(&structure("S", &plain), "S", b"\x05\0\x02\0\0\0hi"), r#"{"A":5,"B":"hi"}"#);
    assert_eq!(read(&structure("S", &plain), "S", b"\x05\0\xff\xff\xff\xff"), r#"{"A":5,"B":null}"#, "a null string");

    let counted = field("N", r#"TypeName="opc:Int32""#) + &field("A", r#"TypeName="opc:Byte" LengthField="N""#);
    assert_eq!(read(&structure("S", &counted), "S", b"\x03\0\0\0abc"), r#"{"A":[97,98,99]}"#);
    assert_eq!(read(&structure("S", &counted), "S", b"\xff\xff\xff\xff"), r#"{"A":[]}"#, "a null array");
    let fixed = field("A", r#"TypeName="opc:Byte" Length="2""#);
    assert_eq!(read(&structure("S", &fixed), "S", b"ab"), r#"{"A":[97,98]}"#);

    let bits = field("Low", r#"TypeName="opc:Bit""#)
        + &field("Three", r#"TypeName="opc:Bit" Length="3""#)
        + &field("Reserved1", r#"TypeName="opc:Bit" Length="4""#)
        + &field("After", r#"TypeName="opc:Byte" SwitchField="Low""#);
    assert_eq!(read(&structure("S", &bits), "S", b"\x0b\x07"), r#"{"After":7,"Three":5}"#);
    assert_eq!(read(&structure("S", &bits), "S", b"\x0a"), r#"{"Three":5}"#);

    let switched = field("K", r#"TypeName="opc:Byte""#)
        + &field("A", r#"TypeName="opc:Byte" SwitchField="K" SwitchValue="1""#)
        + &field("B", r#"TypeName="opc:UInt16" SwitchField="K" SwitchOperand="GreaterThan" SwitchValue="1""#);
    assert_eq!(read(&structure("S", &switched), "S", b"\x01\x09"), r#"{"A":9}"#);
    assert_eq!(read(&structure("S", &switched), "S", b"\x02\x09\x00"), r#"{"B":9}"#);
    assert_eq!(read(&structure("S", &switched), "S", b"\0"), "{}");

    let of_base = structure("Base", &field("A", r#"TypeName="opc:Byte""#))
        + r#"<opc:StructuredType Name="S" BaseType="tns:Base"><opc:Field Name="B" TypeName="opc:Byte"/></opc:StructuredType>"#
        + r#"<opc:StructuredType Name="Whole" BaseType="tns:Base">
             <opc:Field Name="A" TypeName="opc:Byte" SourceType="tns:Base"/><opc:Field Name="B" TypeName="opc:Byte"/></opc:StructuredType>"#;
    assert_eq!(read(&of_base, "S", b"\x01\x02"), r#"{"A":1,"B":2}"#);
    assert_eq!(read(&of_base, "Whole", b"\x01\x02"), r#"{"A":1,"B":2}"#);

    let within = structure("S", &field("V", r#"TypeName="ua:Variant""#));
    assert_eq!(read(&within, "S", b"\x06\x05\0\0\0"), r#"{"V":5}"#);
    let list = structure(
        "S",
        &(field("A", r#"TypeName="opc:Byte""#)
            + &field("N", r#"TypeName="opc:Int32""#)
            + &field("Below", r#"TypeName="tns:S" LengthField="N""#)),
    );
    assert_eq!(
        read(&list, "S", b"\x01\x01\0\0\0\x02\0\0\0\0"),
        r#"{"A":1,"Below":[{"A":2,"Below":[]}]}"#,
        "a type within itself ends where its values do"
    );
}

#[test]
fn what_cannot_be_read_is_named_and_costs_nothing_else() {
    let types = structure("Fine", &field("A", r#"TypeName="opc:Byte""#))
        + &structure("Unknown", &field("A", r#"TypeName="tns:Nowhere""#))
        + &structure("Above", &field("U", r#"TypeName="tns:Unknown""#))
        + &structure("Far", &field("U", r#"TypeName="tns:Above""#))
        + &structure("NoPrefix", &field("A", r#"TypeName="xyz:Byte""#))
        + &structure("Early", &field("A", r#"TypeName="opc:Byte" LengthField="Later""#))
        + &structure("Big", &field("A", r#"TypeName="opc:Bit" Length="65""#))
        + &structure("Order", &field("A", r#"TypeName="opc:Int32" ByteOrder="BigEndian""#))
        + r#"<opc:StructuredType Name="Loop" BaseType="tns:Pool"/><opc:StructuredType Name="Pool" BaseType="tns:Loop"/>"#
        + r#"<opc:OpaqueType Name="Black"/>"#
        + &structure("Box", &field("A", r#"TypeName="tns:Black""#));
    let (layouts, unread) = layouts(
        &types,
        &["Fine", "Unknown", "Above", "Far", "NoPrefix", "Early", "Big", "Order", "Loop", "Box", "Missing"],
    );
    let told: Vec<String> = unread.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`Unknown`: its field `A`: no dictionary of `urn:t` has the type `Nowhere`",
            "`Above`: its member `U` is of a type that cannot be read",
            "`Far`: its member `U` is of a type that cannot be read",
            "`NoPrefix`: its field `A`: its type has no name, or a prefix that stands for nothing",
            "`Early`: its field `A`: `Later` is not before it",
            "`Big`: its field `A`: it has 65 bits",
            "`Order`: its field `A`: its bytes are not in the order of OPC UA",
            "`Loop`: it has more than 16 base types, one above the other",
            "`Box`: its field `A`: `Black` is opaque",
            "`Missing`: `Missing` is not in its dictionary",
        ]
    );
    assert_eq!(value_json(layouts.open(raw("Fine", b"\x07"))).unwrap(), r#"{"A":7}"#);
    assert!(!layouts.knows(&id("Far")));
    assert_eq!(layouts.open(raw("Far", b"\x07")), raw("Far", b"\x07"), "its bytes stay what they are");
}

#[test]
fn bytes_that_do_not_match_are_no_values() {
    let counted = structure(
        "S",
        &(field("N", r#"TypeName="opc:Int32""#) + &field("A", r#"TypeName="opc:Double" LengthField="N""#)),
    );
    for bytes in [&b""[..], b"\x01", b"\x01\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0\0\0\0\0\0"]
    {
        assert_eq!(read(&counted, "S", bytes), UNDECODABLE, "{bytes:?}");
    }
    let text = structure("S", &field("T", r#"TypeName="opc:String""#));
    assert_eq!(read(&text, "S", b"\xff\xff\xff\x7fabc"), UNDECODABLE, "a text longer than all there is");
    let halved = structure("S", &(field("B", r#"TypeName="opc:Bit""#) + &field("A", r#"TypeName="opc:Byte""#)));
    assert_eq!(read(&halved, "S", b"\x01\x01\x01"), UNDECODABLE, "bits that do not fill a byte");
}

#[test]
fn types_within_themselves_and_types_without_bytes_end() {
    let begin = Timer::now();
    let endless = structure("S", &field("A", r#"TypeName="tns:S""#));
    assert_eq!(read(&endless, "S", b"\x01"), UNDECODABLE);
    let twice = structure("S", &(field("A", r#"TypeName="tns:S""#) + &field("B", r#"TypeName="tns:S""#)));
    assert_eq!(read(&twice, "S", &[0; 1_000]), UNDECODABLE);
    // Each type is two of the next, the last has no bytes: 2^40 values of nothing.
    let mut laughs: String = (0..40)
        .map(|at| {
            let next = format!(r#"TypeName="tns:T{}""#, at + 1);
            structure(&format!("T{at}"), &(field("A", &next) + &field("B", &next)))
        })
        .collect();
    laughs += &structure("T40", "");
    assert_eq!(read(&laughs, "T0", b""), UNDECODABLE);
    let nothings = structure("None", "")
        + &structure(
            "S",
            &(field("N", r#"TypeName="opc:Int32""#) + &field("A", r#"TypeName="tns:None" LengthField="N""#)),
        );
    assert_eq!(read(&nothings, "S", b"\xff\xff\xff\x7f"), UNDECODABLE);
    // Deep by its values: each level is a byte.
    let list =
        structure("S", &(field("N", r#"TypeName="opc:Byte""#) + &field("A", r#"TypeName="tns:S" LengthField="N""#)));
    assert_eq!(read(&list, "S", &[1; 100_000]), UNDECODABLE);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[test]
fn texts_that_are_no_dictionaries_are_refused_quickly() {
    let of_schema =
        |rest: &str| format!(r#"<o:TypeDictionary xmlns:o="http://opcfoundation.org/BinarySchema/" {rest}"#);
    let many = 100_000;
    let namespaces: String = (0..many).map(|at| format!(r#"<a xmlns:p{at}="u">"#)).collect();
    let attributes: String = (0..many).map(|at| format!(r#" a{at}="""#)).collect();
    let cases: [(&str, String, &str); 12] = [
        ("nothing", String::new(), "root node"),
        ("no XML", "hello".to_owned(), "unknown token"),
        ("half of one", of_schema("><o:Str"), ""),
        ("another document", "<html/>".to_owned(), "`html` and no TypeDictionary"),
        ("no namespace", "<TypeDictionary/>".to_owned(), "no TypeDictionary"),
        ("bytes the other way", of_schema(r#"DefaultByteOrder="BigEndian"/>"#), "DefaultByteOrder"),
        (
            "billion laughs",
            r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>"#.to_owned()
                + &of_schema(">&b;</o:TypeDictionary>"),
            "DTD",
        ),
        ("a file of the machine", r#"<!DOCTYPE l SYSTEM "file:///etc/passwd"><l/>"#.to_owned(), "DTD"),
        ("megabytes", of_schema(&format!(">{}</o:TypeDictionary>", " ".repeat(5 << 20))), "bytes, more than"),
        ("a long element", of_schema(&format!("{attributes}/>")), "too long"),
        ("namespaces upon namespaces", of_schema(&format!(">{namespaces}")), "too many namespaces"),
        ("very many elements", of_schema(&format!(">{}</o:TypeDictionary>", "<a/>".repeat(300_000))), "nodes limit"),
    ];
    for (what, text, why) in cases {
        let begin = Timer::now();
        let refused = Dictionary::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(why), "{what}: {refused}");
        assert!(begin.elapsed() < PATIENCE, "{what}: {:?}", begin.elapsed());
    }
    assert!(Dictionary::parse(&[0xff, 0xfe, 0x00]).is_err(), "no UTF-8");
    // Deep, but within bounds.
    let deep = of_schema(&format!(">{}{}</o:TypeDictionary>", "<a>".repeat(90_000), "</a>".repeat(90_000)));
    assert!(Dictionary::parse(deep.as_bytes()).is_ok());
    let ended = of_schema("/>\0\0");
    assert!(Dictionary::parse(ended.as_bytes()).is_ok(), "zeros at the end, as C has them");
}

#[test]
fn a_base_type_of_many_fields_is_not_written_out_for_ever() {
    let fields: String = (0..4_000).map(|at| field(&format!("F{at}"), r#"TypeName="opc:Byte""#)).collect();
    let mut types = structure("Base", &fields);
    let names: Vec<String> = (0..1_000).map(|at| format!("D{at}")).collect();
    for name in &names {
        types += &format!(r#"<opc:StructuredType Name="{name}" BaseType="tns:Base"/>"#);
    }
    let (layouts, unread) = layouts(&types, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(layouts.all.iter().map(|layout| layout.fields.len()).sum::<usize>(), 200_000);
    assert_eq!(unread.len(), 950);
    assert!(unread.iter().all(|unread| unread.why.contains("more than 200000 fields")));
}
