//! What a request demands of what stands at its path (RFC 9110, 13.1), as the store's precondition.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sitta_store::Precondition;
use sitta_store::sitta::wire::tag;
use sitta_tree::Entry;

use super::problem::Trouble;

/// The `ETag` of what stands somewhere.
pub(crate) fn etag(entry: &Entry) -> String {
    format!("\"{}\"", tag(&entry.fingerprint()))
}

/// The precondition that the headers ask for; refused if it does not hold even now.
pub(crate) fn expected(headers: &HeaderMap, now: Option<&Entry>) -> Result<Precondition, Trouble> {
    let failed = |what| Trouble::new(StatusCode::PRECONDITION_FAILED, "changed", what);
    let etag = now.map(etag);
    let names =
        |tags: &[String]| etag.as_ref().is_some_and(|etag| tags.iter().any(|tag| tag == "*" || tag == etag));
    let (wanted, unwanted) = (tags(headers, &IF_MATCH)?, tags(headers, &IF_NONE_MATCH)?);
    if wanted.as_ref().is_some_and(|tags| !names(tags)) {
        return Err(failed(if now.is_some() { "it is another version by now" } else { "nothing stands there" }));
    }
    if unwanted.as_ref().is_some_and(|tags| names(tags)) {
        return Err(failed("something stands there"));
    }
    Ok(match (wanted.is_some() || unwanted.is_some(), now) {
        (false, _) => Precondition::None,
        (true, None) => Precondition::Absent,
        (true, Some(entry)) => Precondition::Version(entry.fingerprint()),
    })
}

/// The tags of a header. A weak one names no version for sure, and matches none.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, Trouble> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let given = value.to_str().ok().and_then(listed).filter(|tags| !tags.is_empty());
        let given = given.ok_or_else(|| header(name, value, "write * or ETags in double quotes"))?;
        tags.extend(given.into_iter().map(str::to_owned));
    }
    Ok(Some(tags))
}

/// The tags of a list (RFC 9110, 8.8.3); a comma may stand in a tag. None if it is no such list.
fn listed(text: &str) -> Option<Vec<&str>> {
    let (mut tags, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"');
        let behind = match quoted {
            Some(quoted) => quoted.split_once('"')?.1,
            None => rest.strip_prefix('*')?,
        };
        tags.push(&rest[..rest.len() - behind.len()]);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    Some(tags)
}

/// A header that is not understood.
pub(super) fn header(name: &HeaderName, value: &HeaderValue, expected: &str) -> Trouble {
    Trouble::parameter(name.as_str(), value.as_bytes(), expected)
}

#[cfg(test)]
mod tests {
    use sitta_tree::{Kind, Meta, Time};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn tags_are_told_apart() {
        assert_eq!(listed(r#""a", W/"b,c","" "#), Some(vec![r#""a""#, r#"W/"b,c""#, r#""""#]));
        assert_eq!(listed("*"), Some(vec!["*"]));
        for odd in ["a", "\"a", "\"a\" \"b\"", "W/", "W/a", "*x", ","] {
            assert_eq!(listed(odd), None, "{odd}");
        }
    }

    #[test]
    fn headers_become_preconditions() {
        let meta = Meta { mtime: Time::new(5, 6), ..Meta::default() };
        let entry = Entry { size: 9, meta, id: 3, change: 4, ..Entry::new(Kind::File) };
        let (tag, version) = (etag(&entry), Precondition::Version(entry.fingerprint()));
        let with = |pairs: &[(HeaderName, &str)], now: Option<&Entry>| expected(&headers(pairs), now).ok();
        assert_eq!(with(&[], Some(&entry)), Some(Precondition::None));
        assert_eq!(with(&[(IF_MATCH, &tag)], Some(&entry)), Some(version));
        assert_eq!(with(&[(IF_MATCH, &format!("\"x\", {tag}"))], Some(&entry)), Some(version));
        assert_eq!(with(&[(IF_MATCH, "\"x\""), (IF_MATCH, &tag)], Some(&entry)), Some(version), "of two headers");
        assert_eq!(with(&[(IF_MATCH, "*")], Some(&entry)), Some(version));
        assert_eq!(with(&[(IF_NONE_MATCH, "*")], None), Some(Precondition::Absent));
        assert_eq!(with(&[(IF_NONE_MATCH, "\"x\"")], Some(&entry)), Some(version));
        for refused in
            [(IF_MATCH, "\"x\""), (IF_MATCH, &*format!("W/{tag}")), (IF_NONE_MATCH, "*"), (IF_NONE_MATCH, &tag)]
        {
            let trouble = expected(&headers(std::slice::from_ref(&refused)), Some(&entry)).expect_err("refused");
            assert!(trouble.is_change(), "{refused:?}");
        }
        assert!(expected(&headers(&[(IF_MATCH, "*")]), None).expect_err("absent").is_change());
        let odd = expected(&headers(&[(IF_MATCH, "x")]), Some(&entry)).expect_err("odd");
        assert!(!odd.is_change());
    }
}
