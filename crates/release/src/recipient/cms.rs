//! The structure of a `CiphertextForRecipient`: CMS EnvelopedData (RFC 5652 §6) with one recipient, exactly as AWS KMS makes it.
//!
//! ```text
//! ContentInfo  SEQUENCE (indefinite)
//!   envelopedData 1.2.840.113549.1.7.3
//!   [0] (indefinite)
//!     EnvelopedData SEQUENCE (indefinite)
//!       version 2
//!       SET { KeyTransRecipientInfo { version 2, [0] subjectKeyIdentifier, rsaesOaep(sha256, mgf1 sha256), encryptedKey } }
//!       EncryptedContentInfo SEQUENCE (indefinite)
//!         data 1.2.840.113549.1.7.1
//!         aes256-CBC 2.16.840.1.101.3.4.1.42, iv
//!         [0] (indefinite) { OCTET STRING … }   or   [0] IMPLICIT primitive
//! ```
//!
//! Everything here is public: whoever made the message knows it. Only what it decrypts to is secret.

use super::ber::{self, Malformed, Reader};

/// 1.2.840.113549.1.7.3, RFC 5652 §6.1.
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1, RFC 5652 §4.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.1.7, RFC 8017 A.2.1.
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
/// 1.2.840.113549.1.1.8, RFC 8017 A.2.1.
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
/// 2.16.840.1.101.3.4.2.1, RFC 8017 B.1.
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 2.16.840.1.101.3.4.1.42, RFC 3565 §4.1.
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// AWS KMS API reference: `CiphertextForRecipient` is 1 to 6144 bytes long.
pub(super) const MAX_MESSAGE: usize = 6144;

/// Pieces of a constructed OCTET STRING, as the encoder that AWS KMS appears to use cuts them. Shorter contents are one piece, as in
/// every answer that we have seen.
const PIECE: usize = 1000;

/// The parts of a message that matter to its recipient.
pub(super) struct Message<'a> {
    pub(super) encrypted_key: &'a [u8],
    pub(super) iv: [u8; 16],
    pub(super) content: Vec<u8>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Malformed);
        }
        let mut reader = Reader::new(bytes);
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, ENVELOPED_DATA)?;
        reader.enter(ber::CONTEXT_0_CONSTRUCTED)?;
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::INTEGER, &[2])?;

        reader.enter(ber::SET)?;
        let encrypted_key = Self::recipient_info(&mut reader)?;
        reader.leave()?;

        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, DATA)?;
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, AES_256_CBC)?;
        let iv = reader.primitive(ber::OCTET_STRING)?.try_into().map_err(|_| Malformed)?;
        reader.leave()?;
        let content = Self::encrypted_content(&mut reader)?;
        reader.leave()?;

        reader.leave()?;
        reader.leave()?;
        reader.leave()?;
        reader.finish()?;
        Ok(Self { encrypted_key, iv, content })
    }

    fn recipient_info(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::INTEGER, &[2])?;
        // SHA-256 of the recipient's SPKI. It says which of several keys is meant; there is one, so its value decides nothing.
        let identifier: Result<[u8; 32], _> = reader.primitive(ber::CONTEXT_0)?.try_into();
        identifier.map_err(|_| Malformed)?;
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, RSAES_OAEP)?;
        reader.enter(ber::SEQUENCE)?;
        reader.enter(ber::CONTEXT_0_CONSTRUCTED)?;
        Self::sha256(reader)?;
        reader.leave()?;
        reader.enter(ber::CONTEXT_1_CONSTRUCTED)?;
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, MGF1)?;
        Self::sha256(reader)?;
        reader.leave()?;
        reader.leave()?;
        reader.leave()?;
        reader.leave()?;
        let encrypted_key = reader.primitive(ber::OCTET_STRING)?;
        reader.leave()?;
        Ok(encrypted_key)
    }

    fn sha256(reader: &mut Reader<'a>) -> Result<(), Malformed> {
        reader.enter(ber::SEQUENCE)?;
        reader.exactly(ber::OBJECT_IDENTIFIER, SHA256)?;
        // RFC 4055 §2.1: absent parameters (OpenSSL) and NULL (AWS) are the same.
        if reader.peek().is_some() {
            reader.exactly(ber::NULL, &[])?;
        }
        reader.leave()
    }

    fn encrypted_content(reader: &mut Reader<'a>) -> Result<Vec<u8>, Malformed> {
        if reader.peek() == Some(ber::CONTEXT_0) {
            return reader.primitive(ber::CONTEXT_0).map(<[u8]>::to_vec);
        }
        let mut content = Vec::new();
        reader.enter(ber::CONTEXT_0_CONSTRUCTED)?;
        while reader.peek().is_some() {
            content.extend_from_slice(reader.primitive(ber::OCTET_STRING)?);
        }
        reader.leave()?;
        Ok(content)
    }
}

/// Writes a message in the form that [`Message::parse`] documents.
pub(super) fn write(
    key_identifier: &[u8; 32],
    encrypted_key: &[u8],
    iv: &[u8; 16],
    content: &[u8],
) -> Vec<u8> {
    let sha256 =
        definite(ber::SEQUENCE, &[&definite(ber::OBJECT_IDENTIFIER, &[SHA256]), &definite(ber::NULL, &[])]);
    let mgf1 = definite(ber::SEQUENCE, &[&definite(ber::OBJECT_IDENTIFIER, &[MGF1]), &sha256]);
    let oaep = definite(
        ber::SEQUENCE,
        &[
            &definite(ber::OBJECT_IDENTIFIER, &[RSAES_OAEP]),
            &definite(
                ber::SEQUENCE,
                &[
                    &definite(ber::CONTEXT_0_CONSTRUCTED, &[&sha256]),
                    &definite(ber::CONTEXT_1_CONSTRUCTED, &[&mgf1]),
                ],
            ),
        ],
    );
    let recipient = definite(
        ber::SEQUENCE,
        &[
            &definite(ber::INTEGER, &[&[2]]),
            &definite(ber::CONTEXT_0, &[key_identifier]),
            &oaep,
            &definite(ber::OCTET_STRING, &[encrypted_key]),
        ],
    );

    let mut out = Vec::with_capacity(content.len().saturating_add(1024));
    ber::open_indefinite(&mut out, ber::SEQUENCE);
    ber::write_definite(&mut out, ber::OBJECT_IDENTIFIER, ENVELOPED_DATA);
    ber::open_indefinite(&mut out, ber::CONTEXT_0_CONSTRUCTED);
    ber::open_indefinite(&mut out, ber::SEQUENCE);
    ber::write_definite(&mut out, ber::INTEGER, &[2]);
    ber::write_definite(&mut out, ber::SET, &recipient);
    ber::open_indefinite(&mut out, ber::SEQUENCE);
    ber::write_definite(&mut out, ber::OBJECT_IDENTIFIER, DATA);
    let algorithm =
        [definite(ber::OBJECT_IDENTIFIER, &[AES_256_CBC]), definite(ber::OCTET_STRING, &[iv])].concat();
    ber::write_definite(&mut out, ber::SEQUENCE, &algorithm);
    ber::open_indefinite(&mut out, ber::CONTEXT_0_CONSTRUCTED);
    for piece in content.chunks(PIECE) {
        ber::write_definite(&mut out, ber::OCTET_STRING, piece);
    }
    for _ in 0..5 {
        ber::close_indefinite(&mut out);
    }
    out
}

fn definite(tag: ber::Tag, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    ber::write_definite(&mut out, tag, &parts.concat());
    out
}
