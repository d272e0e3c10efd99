//! The parameters of a request.

use dnstapd::http::query::{BadParameter, Parameters};

/// The longest value asked for.
const MAX: usize = 40;

/// Checks that any bytes are found again as they were encoded, and that any text is a value or a bad one.
pub fn check(bytes: &[u8]) {
    check_text(&String::from_utf8_lossy(bytes));
    let encoded: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let query = format!("other=1&name={encoded}&name=2");
    let found = Parameters(&query).find("name").expect("it is there").decode::<MAX>();
    match std::str::from_utf8(bytes) {
        _ if bytes.len() > MAX => assert_eq!(found, Err(BadParameter::TooLong)),
        Ok(text) => assert_eq!(found.as_deref(), Ok(text)),
        Err(_) => assert_eq!(found, Err(BadParameter::Encoding)),
    }
}

fn check_text(text: &str) {
    let Some(value) = Parameters(text).find("name") else { return };
    let are_fine = value.check_names::<MAX>().is_ok();
    let names: Vec<_> = value.names::<MAX>().take(text.len() + 1).collect();
    assert!(names.len() <= text.len(), "a list has an end");
    assert!(!are_fine || names.iter().all(|name| name.as_ref().is_ok_and(|name| !name.is_empty())));
    if let Ok(whole) = value.decode::<MAX>() {
        let expected: Vec<_> = whole.split(',').filter(|name| !name.is_empty()).collect();
        assert!(names.iter().map(|name| name.as_deref().expect("of a whole that is fine")).eq(expected));
    }
}
