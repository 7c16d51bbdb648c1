//! Event files of TensorBoard: protocol buffers (`event.proto`, `summary.proto`) in records of TensorFlow (`TFRecord`).
//!
//! A record is the length of its data in 8 bytes, their checksum, the data, and its checksum; all little-endian. A checksum is the CRC-32C,
//! masked as TensorFlow does it.

use prost::Message;

/// TensorFlow's number for texts.
const DT_STRING: i32 = 7;

#[derive(Message)]
struct EventMessage {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<SummaryMessage>,
}

#[derive(Message)]
struct SummaryMessage {
    #[prost(message, repeated, tag = "1")]
    values: Vec<SummaryValue>,
}

#[derive(Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<TextTensor>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<SummaryMetadata>,
}

#[derive(Message)]
struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
}

#[derive(Message)]
struct TextTensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TextShape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    texts: Vec<Vec<u8>>,
}

#[derive(Message)]
struct TextShape {
    #[prost(message, repeated, tag = "2")]
    axes: Vec<TextAxis>,
}

#[derive(Message)]
struct TextAxis {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// The record that every file begins with.
pub(super) fn version(wall_time: f64) -> Vec<u8> {
    record(&EventMessage {
        wall_time,
        file_version: Some("brain.Event:2".to_owned()),
        ..EventMessage::default()
    })
}

/// Numbers of one step under their tags. TensorBoard has them in single precision.
pub(super) fn scalars(wall_time: f64, step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let values = values.iter().map(|(tag, value)| SummaryValue {
        tag: tag.clone(),
        simple_value: Some(*value as f32),
        ..SummaryValue::default()
    });
    record(&EventMessage {
        wall_time,
        step: step as i64,
        summary: Some(SummaryMessage {
            values: values.collect(),
        }),
        ..EventMessage::default()
    })
}

/// A text that TensorBoard shows as Markdown, as code.
pub(super) fn text(wall_time: f64, tag: &str, text: &str) -> Vec<u8> {
    let code: String = text.lines().flat_map(|line| ["    ", line, "\n"]).collect();
    let value = SummaryValue {
        tag: format!("{tag}/text_summary"),
        tensor: Some(TextTensor {
            dtype: DT_STRING,
            shape: Some(TextShape {
                axes: vec![TextAxis { size: 1 }],
            }),
            texts: vec![code.into_bytes()],
        }),
        metadata: Some(SummaryMetadata {
            plugin_data: Some(PluginData {
                plugin_name: "text".to_owned(),
            }),
        }),
        ..SummaryValue::default()
    };
    record(&EventMessage {
        wall_time,
        summary: Some(SummaryMessage { values: vec![value] }),
        ..EventMessage::default()
    })
}

fn record(event: &EventMessage) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked_crc(&length).to_le_bytes(),
        &data,
        &masked_crc(&data).to_le_bytes(),
    ]
    .concat()
}

/// A checksum of bytes that hold checksums themselves is easily zero; TensorFlow turns it and adds a constant.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard_and_of_tensorflow() {
        // RFC 3720, B.4; and the check value of the catalogue of CRCs.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // The twelve bytes with which every event file begins: 24 bytes of data follow.
        let written_by_tensorflow = [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22];
        assert_eq!(version(1.5e9)[..12], written_by_tensorflow);
    }

    #[test]
    fn the_first_record_is_the_version_at_its_time() {
        // Field 1, a double; field 3, a text of 13 bytes.
        let expected = [
            &[0x09][..],
            &1.5e9_f64.to_le_bytes(),
            &[0x1a, 13],
            b"brain.Event:2",
        ]
        .concat();
        let found = version(1.5e9);
        assert_eq!(found[12..36], expected);
        assert_eq!(found.len(), 40);
    }

    #[test]
    fn a_scalar_is_a_tag_and_a_single_float() {
        let found = scalars(2.0, 300, &[("a/b".to_owned(), 0.5)]);
        // Step 300 is 0xac 0x02 as a varint; the summary holds a value of a text and a float.
        let value = [&[0x0a, 3][..], b"a/b", &[0x15], &0.5_f32.to_le_bytes()].concat();
        let expected = [
            &[0x09][..],
            &2.0_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02, 0x2a, 12, 0x0a, 10],
            &value,
        ]
        .concat();
        assert_eq!(found[12..found.len() - 4], expected);
    }
}
