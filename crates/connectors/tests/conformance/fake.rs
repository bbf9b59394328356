//! A directory that answers what a test tells it to, for answers that no server here can be made to give: codes in the
//! middle of a read, other servers' habits, a network that strips TLS. It keeps a ledger of what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use xavyo_core::connector::{LdapDialect, LdapSettings, LdapTls};

pub const BIND: u8 = 0x60;
pub const SEARCH: u8 = 0x63;
pub const MODIFY: u8 = 0x66;
pub const DELETE: u8 = 0x4a;
pub const COMPARE: u8 = 0x6e;
pub const EXTENDED: u8 = 0x77;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The tag of the operation: [`SEARCH`] …
    pub operation: u8,
    /// The operation's bytes: names and values stand in them as they are.
    pub body: Vec<u8>,
}

/// One message of an answer.
#[derive(Clone, Debug)]
pub enum Say {
    Entry {
        dn: String,
        attributes: Vec<(&'static str, Vec<u8>)>,
    },
    /// The result; a cookie is that of a page.
    Done {
        code: u8,
        cookie: Option<&'static str>,
    },
    /// These bytes and nothing else.
    Bytes(&'static [u8]),
}

pub struct Fake {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    pub fn holds(&self, piece: &str) -> bool {
        self.body.windows(piece.len()).any(|window| window == piece.as_bytes())
    }
}

impl Fake {
    /// Answers by the script; binds succeed, and the root DSE is what the script says for a search of nothing.
    pub async fn start(script: impl Fn(&Asked) -> Vec<Say> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, ledger) = (Arc::new(script), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), ledger.clone()));
            }
        });
        Self { port, asked }
    }

    pub fn ledger(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests of that operation.
    pub fn count(&self, operation: u8) -> usize {
        self.ledger().iter().filter(|asked| asked.operation == operation).count()
    }

    /// A connector's settings for it, in clear text.
    pub fn settings(&self, dialect: LdapDialect) -> LdapSettings {
        LdapSettings {
            host: "127.0.0.1".into(),
            port: self.port,
            tls: LdapTls::None,
            ca_certificates: None,
            bind_dn: "cn=xavyo,dc=x".into(),
            base_dn: "dc=x".into(),
            filter: String::new(),
            naming_attribute: "uid".into(),
            create_base_dn: "dc=x".into(),
            create_object_classes: vec!["person".into()],
            dialect,
            page_size: 2,
            disabled_attribute: None,
            disabled_value: None,
            sentinels: Vec::new(),
            group_base_dn: None,
        }
    }
}

/// The result of success or of a failure, of anything but a page.
pub fn done(code: u8) -> Vec<Say> {
    vec![Say::Done { code, cookie: None }]
}

pub fn entry(dn: &str, attributes: Vec<(&'static str, Vec<u8>)>) -> Say {
    Say::Entry { dn: dn.to_owned(), attributes }
}

/// Successive answers to the searches of a read, after the root DSE.
pub fn in_turn(pages: Vec<Vec<Say>>) -> impl Fn(&Asked) -> Vec<Say> {
    let pages = Mutex::new(VecDeque::from(pages));
    move |asked| match asked.operation {
        SEARCH if asked.holds("supportedControl") => done(0),
        SEARCH => pages.lock().unwrap().pop_front().unwrap_or_else(|| done(0)),
        _ => done(0),
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(&Asked) -> Vec<Say>>,
    ledger: Arc<Mutex<Vec<Asked>>>,
) -> std::io::Result<()> {
    let mut received = Vec::new();
    loop {
        while let Some((id, asked, length)) = request(&received) {
            received.drain(..length);
            ledger.lock().unwrap().push(asked.clone());
            // Bind: [APPLICATION 0], unbind: [APPLICATION 2].
            let says = match asked.operation {
                0x42 => return Ok(()),
                BIND => done(0),
                _ => script(&asked),
            };
            for say in says {
                stream.write_all(&message(&id, asked.operation, say)).await?;
            }
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// The first whole request: its id, itself, and its length.
fn request(bytes: &[u8]) -> Option<(Vec<u8>, Asked, usize)> {
    let (content, length) = content(bytes)?;
    let message = &bytes[length - content..length];
    let (id_content, id_length) = self::content(message)?;
    let rest = &message[id_length..];
    let (body, body_length) = self::content(rest)?;
    let id = message[id_length - id_content..id_length].to_vec();
    let body = rest[body_length - body..body_length].to_vec();
    Some((id, Asked { operation: rest[0], body }, length))
}

/// Of the first element: the length of its content, and of the whole of it.
fn content(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    let (content, header) = if first < 0x80 {
        (first, 2)
    } else {
        let digits = bytes.get(2..2 + (first & 0x7f))?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), 2 + digits.len())
    };
    (bytes.len() >= header + content).then_some((content, header + content))
}

fn message(id: &[u8], operation: u8, say: Say) -> Vec<u8> {
    let (body, controls) = match say {
        Say::Bytes(bytes) => return bytes.to_vec(),
        Say::Entry { dn, attributes } => {
            let attributes = attributes.into_iter().map(|(name, value)| {
                element(
                    0x30,
                    &[element(4, &[name.as_bytes().to_vec()]), element(0x31, &[element(4, &[value])])],
                )
            });
            let attributes = element(0x30, &attributes.collect::<Vec<_>>());
            (element(0x64, &[element(4, &[dn.into_bytes()]), attributes]), Vec::new())
        }
        Say::Done { code, cookie } => {
            let result = [element(10, &[vec![code]]), element(4, &[]), element(4, &[])];
            // The answer's tag follows the request's; delete's request alone is primitive.
            let tag =
                if operation == DELETE { 0x6b } else { operation + if operation == SEARCH { 2 } else { 1 } };
            (element(tag, &result), cookie.map(page).into_iter().collect())
        }
    };
    let controls = if controls.is_empty() { Vec::new() } else { element(0xa0, &controls) };
    element(0x30, &[element(2, &[id.to_vec()]), body, controls])
}

/// The control of a page (RFC 2696).
fn page(cookie: &str) -> Vec<u8> {
    let value = element(0x30, &[element(2, &[vec![0]]), element(4, &[cookie.as_bytes().to_vec()])]);
    element(0x30, &[element(4, &[b"1.2.840.113556.1.4.319".to_vec()]), element(4, &[value])])
}

fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [vec![tag, 0x84], length.to_vec(), content].concat()
}
