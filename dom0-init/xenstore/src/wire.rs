//! Messages as bytes: a head of 16 bytes and a payload.

use xen_abi::io::xs_wire::{Message, MessageType, PAYLOAD_MAX};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::Error;

/// Bytes of a head.
pub const HEAD_BYTES: usize = size_of::<Message>();

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Type, request, transaction, length of the payload.
    pub head: Message,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The sender broke the protocol: nothing that follows can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is longer than the protocol allows")]
pub struct Garbled(pub u32);

/// Puts messages together from the pieces in which they come.
#[derive(Debug, Default, Clone)]
pub struct Assembler {
    bytes: Vec<u8>,
    taken: usize,
}

impl Assembler {
    /// Adds a piece.
    pub fn add(&mut self, piece: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Takes the next whole message, if there is one.
    ///
    /// # Errors
    /// [`Garbled`] if a head tells an impossible length.
    pub fn take(&mut self) -> Result<Option<Packet>, Garbled> {
        let rest = self.pending();
        let Ok((head, rest)) = Message::read_from_prefix(rest) else { return Ok(None) };
        let length = usize::try_from(head.len).unwrap_or(usize::MAX);
        if length > PAYLOAD_MAX {
            return Err(Garbled(head.len));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let payload = payload.to_vec();
        self.taken = self.taken.saturating_add(HEAD_BYTES + length);
        Ok(Some(Packet { head, payload }))
    }

    /// What is there of a message that isn't whole yet.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }
}

/// A message, ready to be sent.
pub fn encode(ty: MessageType, request: u32, transaction: u32, payload: &[u8]) -> Box<[u8]> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let head = Message { ty, req_id: request, tx_id: transaction, len };
    [head.as_bytes(), payload].concat().into()
}

/// The answer to a refused request.
pub fn refusal(head: &Message, error: Error) -> Box<[u8]> {
    let name = [error.name().as_bytes(), b"\0"].concat();
    encode(MessageType::ERROR, head.req_id, head.tx_id, &name)
}

/// An event of a watch.
pub fn event(path: &str, token: &[u8]) -> Box<[u8]> {
    let payload = [path.as_bytes(), b"\0", token, b"\0"].concat();
    encode(MessageType::WATCH_EVENT, 0, 0, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_pieces() {
        let one = encode(MessageType::READ, 1, 0, b"/a\0");
        let two = encode(MessageType::WRITE, 2, 9, b"/a\0b");
        let stream = [&*one, &*two].concat();
        for cut in 0..stream.len() {
            let mut assembler = Assembler::default();
            let mut seen = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                assembler.add(piece);
                while let Some(packet) = assembler.take().unwrap() {
                    seen.push((packet.head.req_id, packet.payload));
                }
            }
            assert_eq!(seen, [(1, b"/a\0".to_vec()), (2, b"/a\0b".to_vec())]);
            assert_eq!(assembler.pending(), b"");
        }
    }

    #[test]
    fn impossible_lengths_are_the_end() {
        let mut assembler = Assembler::default();
        let mut message = encode(MessageType::READ, 1, 0, &[0; 4096]);
        message[12..16].copy_from_slice(&4097_u32.to_le_bytes());
        assembler.add(&message);
        assert_eq!(assembler.take(), Err(Garbled(4097)));
    }
}
