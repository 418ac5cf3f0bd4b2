use super::xml::{Element, Name, parse};

fn written(element: &Element) -> String {
    let mut out = String::new();
    element.write(&mut out);
    out
}

#[test]
fn an_element_means_the_same_wherever_it_is_put() {
    let text = "<?xml version='1.0'?><D:set xmlns:D='DAV:' xmlns:a='urn:a&amp;b' xml:lang='de'>\
        <a:p D:x='1&#10;' y='&lt;\"'>t&#x1F600;<b xmlns='urn:c'><![CDATA[<&]]></b><n/></a:p></D:set>";
    let set = parse(text.as_bytes()).unwrap();
    assert!(set.name.is("set"));
    let p = set.elements().next().unwrap();
    assert_eq!(p.name, Name::new("urn:a&b", "p"));
    let alone = written(p);
    let again = parse(alone.as_bytes()).unwrap();
    assert_eq!(written(&again), alone);
    assert_eq!(again.name, p.name);
    assert_eq!((again.nodes.len(), again.text()), (3, "t\u{1f600}".to_owned()));
    assert!(alone.contains("xml:lang=\"de\"") && alone.contains("&lt;&amp;</b>"), "{alone}");
}

#[test]
fn what_is_broken_or_could_do_harm_is_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
    let file = "<!DOCTYPE a [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><a>&f;</a>";
    let deep = format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000));
    for odd in [
        "",
        " ",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "<p:a/>",
        "<a xmlns:p=''/>",
        "<a>&b;</a>",
        "<a>&#1;</a>",
        "<a>&#0;</a>",
        "<a>\u{1}</a>",
        "<a b='\u{1}'/>",
        "<a b='1' b='2'/>",
        "<a b=1/>",
        "<1/>",
        "<a\"b/>",
        "<a",
        "</a>",
        "<a>&amp</a>",
        bomb,
        file,
        &deep,
    ] {
        assert!(parse(odd.as_bytes()).is_err(), "{odd}");
    }
    assert!(parse(b"<a>\xff</a>").is_err());
    assert!(parse(b"\xef\xbb\xbf<a/>").is_ok());
}
