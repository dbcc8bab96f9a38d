//! Texts from the hypervisor: bytes up to the first zero.

/// The text in a fixed field.
pub fn until_zero(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_zero_or_at_their_end() {
        assert_eq!(until_zero(b"gcc\0rubbish"), "gcc");
        assert_eq!(until_zero(b"full"), "full");
        assert_eq!(until_zero(b"\0"), "");
    }
}
