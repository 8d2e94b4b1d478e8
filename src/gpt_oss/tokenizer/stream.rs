//! Tokens to text one at a time: a character whose bytes are spread over tokens appears with the last of them.

use super::Tokenizer;

/// Text as it becomes complete. What is not UTF-8 becomes U+FFFD.
#[derive(Default, Clone, Debug)]
pub struct TextStream {
    /// The start of a character, at most three bytes.
    held: Vec<u8>,
}

impl TextStream {
    /// The text that this token completes, perhaps none. An id that stands for nothing is U+FFFD.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        match tokenizer.token_bytes(id) {
            Some(bytes) => self.push_bytes(&bytes),
            None => self.push_bytes("\u{fffd}".as_bytes()),
        }
    }

    /// The text that these bytes complete.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let bytes = std::mem::take(&mut self.held);
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(bad) = error.error_len() else {
                        self.held = after.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    /// What is left at the end: U+FFFD if a character was cut short, else nothing.
    pub fn finish(&mut self) -> String {
        if std::mem::take(&mut self.held).is_empty() { String::new() } else { char::REPLACEMENT_CHARACTER.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_appear_whole() {
        let mut stream = TextStream::default();
        let out: Vec<String> = "aé日😀".bytes().map(|b| stream.push_bytes(&[b])).collect();
        assert_eq!(out, ["a", "", "é", "", "", "日", "", "", "", "😀"]);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn broken_bytes_are_replaced_as_the_standard_says() {
        let cases: [&[u8]; 5] = [b"\xff\xfeab", b"\xe6\x97a", b"\xf0\x9f\x98", b"\xc3\xa9\xa9", b"ok\xc0\x80"];
        for bytes in cases {
            for cut in 0..bytes.len() {
                let mut stream = TextStream::default();
                let mut text = stream.push_bytes(&bytes[..cut]);
                text += &stream.push_bytes(&bytes[cut..]);
                text += &stream.finish();
                assert_eq!(text, String::from_utf8_lossy(bytes), "{bytes:?} cut at {cut}");
            }
        }
    }
}
