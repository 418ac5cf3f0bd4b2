//! What parameters and headers look like, as regular expressions (ECMA-262).

/// A path in a share: no part of it empty, `.` or `..`.
pub(super) const PATH: &str = r"^/?(?!\.{1,2}(/|$))[^/\u0000]+(/(?!\.{1,2}(/|$))[^/\u0000]+)*$";

/// A point in time, or how long ago it was.
pub(super) const WHEN: &str = concat!(
    r"^([0-9]{1,4}[smhdw]|(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    r"(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?)$"
);

/// A size: `4096`, `10MiB`, `1.5G`.
pub(super) const SIZE: &str = r"^[0-9]{1,6}(\.[0-9]{1,9})?([KMGTkmgt](i?[Bb])?|[Bb])?$";

/// `*`, or `ETag`s (RFC 9110, 13.1).
const TAGS: &str = r##"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"##;

/// RFC 9110, 5.6.7.
const DATE: &str = concat!(
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (0[1-9]|[12][0-9]|3[01]) ",
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (19|20)[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9] GMT$"
);

/// Seconds since 1970.
const SECONDS: &str = r"^(-[0-9]{1,10}|[0-9]{1,11}(\.[0-9]+)?)$";

/// What a header looks like; nothing for those that are only looked at if they are understood.
pub(super) fn header(name: &str) -> Option<&'static str> {
    match name {
        "If-Match" | "If-None-Match" => Some(TAGS),
        "Last-Modified" => Some(DATE),
        "X-OC-Mtime" => Some(SECONDS),
        "Destination" => Some(r"^[!-~]+$"),
        _ => None,
    }
}
