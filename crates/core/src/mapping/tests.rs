//! An object type evaluated over identities and accounts.

use chrono::DateTime;
use uuid::Uuid;

use super::{Evaluation, ExpectedValue, Program, References};
use crate::{
    account::{Account, AccountKey},
    connector::{
        AttributeRule, Authority, CorrelationPolicy, CorrelationRule, Inverse, MatchingRule, Normaliser,
        ObjectType, Ownership,
    },
    error::Reason,
    identity::Identity,
    ids::IdentityId,
    value::Value,
};

fn identity() -> Identity {
    let text =
        |name: &str, values: &[&str]| (name.to_owned(), values.iter().copied().map(Value::from).collect());
    Identity {
        id: IdentityId(Uuid::from_u128(7)),
        source_key: Some("E-7".to_owned()),
        active: true,
        attributes: [
            text("given_name", &["Jürgen"]),
            text("family_name", &["Groß"]),
            text("mail", &["jg@example.org"]),
            text("group", &["app-a"]),
            text("groups", &["app-a", "app-b", "hr"]),
            text("cost-centre", &["40"]),
            ("level".to_owned(), vec![Value::from(5)]),
            ("many".to_owned(), (0..600).map(Value::from).collect()),
            ("hired".to_owned(), vec![Value::Timestamp(DateTime::UNIX_EPOCH)]),
        ]
        .into(),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn account() -> Account {
    Account {
        external_uid: "svc-7".to_owned(),
        immutable_id: Some("u7".to_owned()),
        version: None,
        enabled: Some(true),
        attributes: [("phone".to_owned(), vec![Value::from("+49 30 1")])].into(),
    }
}

fn rule(name: &str, expression: &str) -> AttributeRule {
    AttributeRule {
        name: name.to_owned(),
        expression: expression.to_owned(),
        inverse: None,
        matching: MatchingRule::Exact,
        multi_valued: true,
        ownership: Ownership::Yielded,
        on_create_only: false,
        write_only: false,
        sensitive: false,
        authority: Authority::Xavyo,
    }
}

fn object_type() -> ObjectType {
    ObjectType {
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        scope: String::new(),
        naming: String::new(),
        mapping: Vec::new(),
        correlation: CorrelationPolicy::default(),
        protected: String::new(),
    }
}

/// What an expression yields for the identity, as text.
fn yields(expression: &str) -> String {
    let program = Program::compile(&ObjectType { mapping: vec![rule("x", expression)], ..object_type() });
    let links = [("ad".to_owned(), AccountKey { external_uid: "cn=jg".to_owned(), immutable_id: None })];
    let expected = program.unwrap().expected(&identity(), &References(links.into()));
    match expected.attributes.get("x") {
        None => format!("failed: {}", expected.failures[0].1),
        Some(ExpectedValue::Absent) => "absent".to_owned(),
        Some(ExpectedValue::Unmanaged) => "unmanaged".to_owned(),
        Some(ExpectedValue::Values(values)) => {
            values.iter().map(Value::to_text).collect::<Vec<_>>().join("|")
        }
    }
}

/// How a mapping expression is refused.
fn refusal(expression: &str) -> String {
    let object_type = ObjectType { mapping: vec![rule("x", expression)], ..object_type() };
    let error = Program::compile(&object_type).map(|_| ()).unwrap_err();
    assert_eq!(error.violations[0].field, "mapping[0].expression");
    error.violations[0].expected.clone()
}

#[test]
fn attributes_have_none_one_or_several_values() {
    for (expression, yielded) in [
        ("identity.mail", "jg@example.org"),
        ("identity['cost-centre']", "40"),
        ("identity.groups", "app-a|app-b|hr"),
        ("identity.level + 1", "6"),
        ("identity.hired", "1970-01-01T00:00:00Z"),
        ("identity.source_key", "E-7"),
        ("identity.id", "00000000-0000-0000-0000-000000000007"),
        ("identity.active", "true"),
        ("identity.absent", "absent"),
        ("''", "absent"),
        ("[]", "absent"),
        ("[identity.mail, null, '']", "jg@example.org"),
        ("has(identity.mail)", "true"),
        ("has(identity.absent)", "false"),
        ("identity.absent == null", "true"),
        ("links['ad'].external_uid", "cn=jg"),
        ("has(links['hr'].external_uid)", "false"),
        ("links.hr.external_uid", "absent"),
        ("unmanaged()", "unmanaged"),
        ("has(identity.absent) ? identity.absent : unmanaged()", "unmanaged"),
    ] {
        assert_eq!(yields(expression), yielded, "{expression}");
    }
}

#[test]
fn loops_and_in_take_none_one_and_several_values() {
    for (expression, yielded) in [
        ("'hr' in identity.groups", "true"),
        ("'app-a' in identity.group", "true"),
        ("'hr' in identity.absent", "false"),
        ("identity.groups.filter(g, g.startsWith('app-'))", "app-a|app-b"),
        ("identity.group.map(g, g + '!')", "app-a!"),
        ("identity.absent.exists(g, g == 'x')", "false"),
        ("{'a': 1}.all(key, key == 'a')", "true"),
    ] {
        assert_eq!(yields(expression), yielded, "{expression}");
    }
}

#[test]
fn the_library_does_what_it_documents() {
    for (expression, yielded) in [
        ("after(identity.mail, '@')", "example.org"),
        ("after('x', '@')", "absent"),
        ("before('a@b@c', '@')", "a"),
        ("ascii(identity.given_name)", "Jurgen"),
        ("default(identity.absent, 'x')", "x"),
        ("default('', identity.mail)", "jg@example.org"),
        ("digits('+49 (30) 1')", "49301"),
        (r"escape_dn('Doe, Jane')", r"Doe\, Jane"),
        ("first(identity.groups)", "app-a"),
        ("first(identity.absent)", "absent"),
        ("format('%s.%s%%', [identity.level, 'x'])", "5.x%"),
        ("format('%s', [identity.absent])", "absent"),
        ("join([identity.given_name, identity.absent, identity.family_name], ' ')", "Jürgen Groß"),
        ("join(identity.groups, ',')", "app-a,app-b,hr"),
        ("join(identity.absent, ',')", "absent"),
        ("size(list(identity.absent))", "0"),
        ("lower(identity.family_name)", "groß"),
        ("lower(identity.absent)", "absent"),
        ("identity.family_name.upper()", "GROSS"),
        ("replace('a-b-c', '-', '')", "abc"),
        ("split('a,b', ',')", "a|b"),
        ("substring(identity.given_name, 1)", "ürgen"),
        ("substring('jane', 0, 1)", "j"),
        ("substring('jane', 3, 9)", "e"),
        ("'x' + suffix(0) + suffix(12)", "x12"),
        ("text(identity.level)", "5"),
        ("trim('  a   b ')", "a b"),
    ] {
        assert_eq!(yields(expression), yielded, "{expression}");
    }
}

#[test]
fn a_failing_expression_is_unknown_and_says_where_without_saying_what() {
    for (expression, failure) in [
        ("identity.given_name + identity.absent", "line 1, column 21: cannot add string and null"),
        ("true ?\nlower(identity.level) : 'x'", "line 2, column 6: lower: expected text, not int"),
        ("int(identity.mail)", "line 1, column 4: int does not take this value"),
        ("identity.level / 0", "line 1, column 16: division by zero"),
        ("'ü' + identity.absent", "line 1, column 5: cannot add string and null"),
        ("links['ad'].password", "line 1, column 12: there is no password"),
        ("{'a': 1}[identity.mail]", "line 1, column 9: there is no such key"),
        ("identity.groups[7]", "line 1, column 16: the index is out of bounds"),
        ("split('a', '')", "line 1, column 6: split: the text to look for is empty"),
        ("{'a': 1}", "a map is no value of an attribute"),
        ("0.0 / 0.0", "a number that is not finite"),
    ] {
        assert_eq!(yields(expression), format!("failed: {failure}"), "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_its_position() {
    for (expression, refused) in [
        ("identity.", "line 1, column 10"),
        ("", "line 1"),
        ("identiy.mail", "line 1, column 1: there is no identiy here; known: identity, links"),
        ("account.mail", "line 1, column 1: there is no account here"),
        ("shell('x')", "line 1, column 6: there is no function shell"),
        ("identity.a.?b", "unsupported syntax"),
        ("[1].map(x, [2].map(y, x))", "at most one of"),
        ("@items(identity.mail)", "line 1"),
    ] {
        let expected = refusal(expression);
        assert!(expected.contains(refused), "{expression}: {expected}");
    }
    assert_eq!(refusal(&"a".repeat(1_025)), "at most 1024 bytes, not 1025");
}

#[test]
fn text_and_loops_stay_within_their_limits() {
    let doubled = (0..12).fold("'aa'".to_owned(), |inner, _| format!("replace({inner},'a','aaaaaaaa')"));
    assert!(yields(&doubled).contains("more than 65536 bytes"), "{}", yields(&doubled));
    assert_eq!(yields("identity.many.all(n, n < 1000)"), "true");
    for expression in
        ["(identity.many + identity.many).all(n, n < 1000)", "7 in identity.many + identity.many"]
    {
        assert!(yields(expression).contains("more than 1000 items"), "{}", yields(expression));
    }
}

#[test]
fn the_deepest_expressions_that_fit_are_compiled_and_evaluated_on_a_small_stack() {
    let nested = |open: &str, middle: &str, close: &str| {
        let times = ((1_024 - middle.len()) / (open.len() + close.len())).min(126);
        [times, times.min(90)].map(|times| format!("{}{middle}{}", open.repeat(times), close.repeat(times)))
    };
    let deep = [
        nested("1+", "1", ""),
        nested("true||", "false", ""),
        nested("!", "true", ""),
        nested("-", "1", ""),
        nested("(", "1", ")"),
        nested("[", "1", "]"),
        nested("{1:", "1", "}"),
        nested("true?1:", "1", ""),
        nested("text(", "1", ")"),
        nested("", "identity", ".a"),
        nested("", "identity", "['a']"),
        nested("", "'a'", ".trim()"),
        nested("", "1", "==1"),
    ];
    let evaluate_all = move || {
        for source in deep.into_iter().flatten() {
            let object_type = ObjectType { mapping: vec![rule("x", &source)], ..object_type() };
            if let Ok(program) = Program::compile(&object_type) {
                program.expected(&identity(), &References::default());
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(evaluate_all).unwrap();
    assert!(thread.join().is_ok());
}

#[test]
fn scope_needs_an_active_identity_and_a_true_predicate() {
    let scope = |predicate: &str, identity: &Identity| {
        Program::compile(&ObjectType { scope: predicate.to_owned(), ..object_type() })
            .unwrap()
            .scope(identity)
    };
    let inactive = Identity { active: false, ..identity() };
    assert_eq!(scope("", &identity()), Evaluation::In);
    assert_eq!(scope("identity.level > 4", &identity()), Evaluation::In);
    assert_eq!(scope("identity.level > 5", &identity()), Evaluation::Out);
    assert_eq!(scope("identity.absent", &identity()), Evaluation::Out);
    assert_eq!(scope("", &inactive), Evaluation::Out);
    assert_eq!(scope("identity.absent > 5", &inactive), Evaluation::Out);
    let Evaluation::Unknown(message) = scope("identity.absent > 5", &identity()) else {
        panic!("must be unknown")
    };
    assert_eq!(message, "scope: line 1, column 17: > does not take (null_type, int)");
    assert_eq!(
        scope("identity.mail", &identity()),
        Evaluation::Unknown("scope: yields true or false".to_owned())
    );
}

#[test]
fn names_are_tried_one_after_the_other() {
    let naming =
        "ascii(lower(substring(identity.given_name, 0, 1) + identity.family_name)) + suffix(iteration)";
    let program = Program::compile(&ObjectType { naming: naming.to_owned(), ..object_type() }).unwrap();
    assert_eq!(program.name(&identity(), 0).as_deref(), Ok("jgross"));
    assert_eq!(program.name(&identity(), 3).as_deref(), Ok("jgross3"));
    assert!(program.name(&identity(), 100).is_err());
    let nameless =
        Program::compile(&ObjectType { naming: "identity.absent".to_owned(), ..object_type() }).unwrap();
    assert_eq!(nameless.name(&identity(), 0), Err("naming: yields no name".to_owned()));
    assert!(Program::compile(&object_type()).unwrap().name(&identity(), 0).is_err());
}

#[test]
fn protected_accounts_are_recognised_by_the_account() {
    let protected = "account.external_uid.startsWith('svc-') || account['employee type'] == 'robot'";
    let program = Program::compile(&ObjectType { protected: protected.to_owned(), ..object_type() }).unwrap();
    assert_eq!(program.is_protected(&account()), Ok(true));
    assert_eq!(program.is_protected(&Account { external_uid: "jane".to_owned(), ..account() }), Ok(false));
    assert_eq!(program.target_attributes(), ["employee type"]);
    assert_eq!(Program::compile(&object_type()).unwrap().is_protected(&account()), Ok(false));
}

#[test]
fn an_attribute_is_written_back_only_where_it_has_an_inverse() {
    let inverse = |expression: &str| {
        let inverse =
            Inverse { identity_attribute: "telephone".to_owned(), expression: expression.to_owned() };
        let with = AttributeRule { inverse: Some(inverse), ..rule("phone", "identity.telephone") };
        let object_type = ObjectType { mapping: vec![with, rule("mail", "identity.mail")], ..object_type() };
        Program::compile(&object_type).unwrap()
    };
    let values = inverse("digits(account.phone)").inverse("phone", &account()).unwrap();
    assert_eq!(values, Some(("telephone".to_owned(), vec![Value::from("49301")])));
    assert_eq!(inverse("unmanaged()").inverse("phone", &account()).unwrap(), None);
    let reason = |program: &Program, attribute| program.inverse(attribute, &account()).unwrap_err().reason;
    assert_eq!(reason(&inverse("account.phone"), "mail"), Reason::NoInverseMapping);
    assert_eq!(reason(&inverse("int(account.phone)"), "phone"), Reason::ExpressionFailed);
}

#[test]
fn an_identity_and_its_account_show_the_same_keys() {
    let rules = vec![CorrelationRule {
        expression: "identity.telephone".to_owned(),
        attribute: "phone".to_owned(),
        normaliser: Normaliser::Phone,
        weight: 50,
    }];
    let correlation = CorrelationPolicy { rules, threshold: 50 };
    let program = Program::compile(&ObjectType { correlation, ..object_type() }).unwrap();
    let mut identity = identity();
    assert_eq!(program.correlation_keys_of_identity(&identity), Ok(vec![]));
    identity.attributes.insert("telephone".to_owned(), vec![Value::from("+49301")]);
    let keys = program.correlation_keys_of_identity(&identity).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(program.correlation_keys_of_account(&account()), keys);
    assert_eq!(program.target_attributes(), ["phone"]);
}

#[test]
fn everything_wrong_with_an_object_type_is_found_at_once() {
    let correlation = CorrelationPolicy {
        rules: vec![CorrelationRule {
            expression: "links.x".to_owned(),
            attribute: String::new(),
            normaliser: Normaliser::Text,
            weight: 0,
        }],
        threshold: 5,
    };
    let owned = AttributeRule { ownership: Ownership::Matching("identity.x".to_owned()), ..rule("b", "1") };
    let mapping = vec![rule("a", "1"), rule("a", "1 +"), rule("account_state", "1"), owned];
    let scope = "identity.a == ".to_owned();
    let error =
        Program::compile(&ObjectType { intent: String::new(), scope, mapping, correlation, ..object_type() })
            .map(|_| ())
            .unwrap_err();
    let fields: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "intent",
            "scope",
            "mapping[1].name",
            "mapping[1].expression",
            "mapping[2].name",
            "mapping[3].ownership.matching",
            "correlation.threshold",
            "correlation.rules[0].weight",
            "correlation.rules[0].attribute",
            "correlation.rules[0].expression",
        ]
    );
}

#[test]
fn several_values_do_not_fit_a_single_valued_attribute() {
    let single = AttributeRule { multi_valued: false, ..rule("x", "identity.groups") };
    let program = Program::compile(&ObjectType { mapping: vec![single], ..object_type() }).unwrap();
    let expected = program.expected(&identity(), &References::default());
    assert!(expected.attributes.is_empty());
    assert_eq!(expected.failures[0].0, "x");
}
