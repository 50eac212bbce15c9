//! TensorBoard event files: records of TensorFlow's `Event` messages, each with its length and checksums.
//!
//! The record format is defined in `tensorflow/core/lib/io/record_writer.h`, the messages and their field numbers in
//! `tensorflow/core/util/event.proto`. A file's name must contain `tfevents`. TensorBoard reads several files in a
//! folder in the order of their names.

use super::protobuf::Message;

/// The first record of every file. `seconds` is Unix time, here and in all other records.
pub fn file_version(seconds: f64) -> Vec<u8> {
    record(event(seconds, 0).bytes(3, "brain.Event:2"))
}

/// Marks a run that continues at `step`: TensorBoard then ignores this and later steps in earlier files.
pub fn session_start(seconds: f64, step: u64) -> Vec<u8> {
    const START: i64 = 1;
    record(event(seconds, step).message(7, Message::default().int(1, START)))
}

/// Named values of a step, stored as f32.
pub fn scalars(seconds: f64, step: u64, values: &[(&str, f64)]) -> Vec<u8> {
    let value = |(name, value): &(&str, f64)| Message::default().bytes(1, name).float(2, *value as f32);
    record(
        event(seconds, step)
            .message(5, values.iter().map(value).fold(Message::default(), |all, one| all.message(1, one))),
    )
}

fn event(seconds: f64, step: u64) -> Message {
    Message::default().double(1, seconds).int(2, step.cast_signed())
}

/// Frames a message: length, checksum of the length, message, checksum of the message.
fn record(message: Message) -> Vec<u8> {
    let message = message.into_bytes();
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &message, &masked(&message)].concat()
}

/// A checksum in the masked form of the record format.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C (Castagnoli), reflected: RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_matches_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
