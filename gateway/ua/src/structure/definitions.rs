//! Layouts from what a server's DataTypes say of themselves (DataTypeDefinition, OPC 10000-3 §8.48 to §8.51).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opcua::types::custom::{DataTypeTree, ParsedStructureField, StructTypeInfo};
use opcua::types::{DataTypeId, NodeId, StructureType, VariantScalarTypeId};

use super::{Comparison, Field, Layout, Layouts, Read, Repeat, Unread, When};

impl Layouts {
    /// Those that a tree of DataTypes describes, and which of them cannot be read.
    #[must_use]
    pub fn of_definitions(tree: &DataTypeTree) -> (Self, Vec<Unread>) {
        let mut types: Vec<&Arc<StructTypeInfo>> = Vec::new();
        let mut places: HashMap<&NodeId, usize> = HashMap::new();
        for data_type in tree.encoding_to_data_type().values() {
            if let Some(of_type) = tree.get_struct_type(data_type)
                && !places.contains_key(&of_type.node_id)
            {
                places.insert(&of_type.node_id, types.len());
                types.push(of_type);
            }
        }
        let mut layouts = Self::default();
        let mut unread = Vec::new();
        let mut readable: Vec<Option<Layout>> = Vec::with_capacity(types.len());
        for of_type in &types {
            let layout = layout(of_type, tree, &places);
            if let Err(why) = &layout {
                unread.push(Unread { name: of_type.node_id.to_string(), why: why.clone() });
            }
            readable.push(layout.ok());
        }
        let mut lost: HashSet<usize> =
            readable.iter().zip(0..).filter(|(it, _)| it.is_none()).map(|(_, at)| at).collect();
        for (at, why) in layouts.keep(readable) {
            let name = types.get(at).map_or_else(String::new, |of_type| of_type.node_id.to_string());
            unread.push(Unread { name, why });
            lost.insert(at);
        }
        // The values of those that cannot be read stay bytes.
        for (of_type, at) in types.iter().zip(0..) {
            if !lost.contains(&at) {
                for id in [&of_type.node_id, &of_type.encoding_ids.binary_id] {
                    if !id.is_null() {
                        layouts.by_id.insert(id.clone(), at);
                    }
                }
            }
        }
        (layouts, unread)
    }
}

fn layout(of_type: &StructTypeInfo, tree: &DataTypeTree, places: &HashMap<&NodeId, usize>) -> Result<Layout, String> {
    use StructureType as Type;
    let mut fields = Vec::with_capacity(of_type.fields.len() + 1);
    let hidden =
        Field { name: None, read: Read::Scalar(VariantScalarTypeId::UInt32), repeat: Repeat::Once, when: When::Always };
    let has_mask = of_type.structure_type == Type::StructureWithOptionalFields;
    let is_union = matches!(of_type.structure_type, Type::Union | Type::UnionWithSubtypedValues);
    if has_mask || is_union {
        fields.push(hidden);
    }
    let mut bit = 0_u8;
    for (member, number) in of_type.fields.iter().zip(1_u64..) {
        let when = if is_union {
            When::Compared(0, Comparison::Equals, number)
        } else if has_mask && member.is_optional {
            bit = bit.saturating_add(1);
            When::Bit(0, bit - 1)
        } else {
            When::Always
        };
        let subtyped = member.is_optional
            && matches!(of_type.structure_type, Type::StructureWithSubtypedValues | Type::UnionWithSubtypedValues);
        let repeat = match member.value_rank {
            ..=0 => Repeat::Once,
            1 => Repeat::Counted,
            rank => Repeat::Dimensions(rank.unsigned_abs()),
        };
        let read = read(member, subtyped, tree, places)?;
        fields.push(Field { name: Some(member.name.as_str().into()), read, repeat, when });
    }
    if bit > 32 {
        return Err("it has more than 32 optional members".to_owned());
    }
    Ok(Layout { fields })
}

fn read(
    member: &ParsedStructureField,
    subtyped: bool,
    tree: &DataTypeTree,
    places: &HashMap<&NodeId, usize>,
) -> Result<Read, String> {
    if member.scalar_type != VariantScalarTypeId::ExtensionObject {
        let scalar = if subtyped { VariantScalarTypeId::Variant } else { member.scalar_type };
        return Ok(Read::Scalar(scalar));
    }
    let object = Read::Scalar(VariantScalarTypeId::ExtensionObject);
    if subtyped || member.type_id == DataTypeId::Structure {
        return Ok(object);
    }
    match (tree.get_struct_type(&member.type_id), places.get(&member.type_id)) {
        (Some(of_member), _) if of_member.is_abstract => Ok(object),
        (Some(_), Some(at)) => Ok(Read::Structure(*at)),
        _ => Err(format!("its member `{}` is of the type `{}`, which has no definition", member.name, member.type_id)),
    }
}
