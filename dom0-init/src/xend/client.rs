//! Asks the daemon.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::messages::{AttachVif, Attached, Create, Created, Domain, Managed, Refusal, Start, Vif};
use super::{SOCKET, hypervisor_is_present};

/// How long a daemon that isn't there may take to come back: PID 1 starts it again when it ends,
/// after a pause that grows when it ends often.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a guest.
///
/// # Errors
/// Why it isn't started.
pub fn create(create: &Create) -> anyhow::Result<Created> {
    ask(Method::POST, "/v1/domains", create)
}

/// All domains.
///
/// # Errors
/// When the daemon can't be asked.
pub fn domains() -> anyhow::Result<Vec<Domain>> {
    ask(Method::GET, "/v1/domains", &())
}

/// Has something done to a domain: `pause`, `destroy`, ...
///
/// # Errors
/// Why it isn't done.
pub fn act(domain: &str, action: &str) -> anyhow::Result<()> {
    change(domain, action, &())
}

/// Has something done to a domain that takes more than a word to say.
///
/// # Errors
/// Why it isn't done.
pub fn change<Q: Serialize>(domain: &str, action: &str, how: &Q) -> anyhow::Result<()> {
    ask::<_, serde_json::Value>(Method::POST, &path(domain, action)?, how).map(|_empty| ())
}

/// A domain's network interfaces.
///
/// # Errors
/// When there is no such domain.
pub fn vifs(domain: &str) -> anyhow::Result<Vec<Vif>> {
    ask(Method::GET, &path(domain, "vifs")?, &())
}

/// Gives a domain a network interface.
///
/// # Errors
/// Why it isn't given.
pub fn attach_vif(domain: &str, vif: String) -> anyhow::Result<Attached> {
    ask(Method::POST, &path(domain, "vifs")?, &AttachVif { vif })
}

/// Takes a network interface from a domain.
///
/// # Errors
/// Why it isn't taken.
pub fn detach_vif(domain: &str, which: &str) -> anyhow::Result<()> {
    let path = format!("{}/{which}", path(domain, "vifs")?);
    ask::<_, serde_json::Value>(Method::DELETE, &path, &()).map(|_empty| ())
}

fn path(domain: &str, rest: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/domains/{}/{rest}", segment(domain)?))
}

/// The guests that are known, whether they run or not.
///
/// # Errors
/// When the daemon can't be asked.
pub fn managed() -> anyhow::Result<Vec<Managed>> {
    // It is an addition to what the hypervisor says, which doesn't wait.
    ask_within(Duration::ZERO, Method::GET, "/v1/managed", &())
}

/// Keeps a guest's config.
///
/// # Errors
/// Why it isn't kept.
pub fn define(create: &Create) -> anyhow::Result<Created> {
    ask(Method::POST, "/v1/managed", create)
}

/// Starts a guest whose config is kept.
///
/// # Errors
/// Why it isn't started.
pub fn start(name: &str, start: &Start) -> anyhow::Result<Created> {
    ask(Method::POST, &format!("/v1/managed/{}/start", segment(name)?), start)
}

/// Forgets a guest's config.
///
/// # Errors
/// Why it isn't forgotten.
pub fn delete(name: &str) -> anyhow::Result<()> {
    let path = format!("/v1/managed/{}", segment(name)?);
    ask::<_, serde_json::Value>(Method::DELETE, &path, &()).map(|_empty| ())
}

/// A name as a part of a path.
fn segment(name: &str) -> anyhow::Result<&str> {
    if name.is_empty() || name.contains(['/', '?', '#', ' ', '%']) {
        bail!("{name:?} is no domain's name");
    }
    Ok(name)
}

fn ask<Q: Serialize, A: DeserializeOwned>(
    method: Method,
    path: &str,
    question: &Q,
) -> anyhow::Result<A> {
    let patience = if hypervisor_is_present() { PATIENCE } else { Duration::ZERO };
    ask_within(patience, method, path, question)
}

fn ask_within<Q: Serialize, A: DeserializeOwned>(
    patience: Duration,
    method: Method,
    path: &str,
    question: &Q,
) -> anyhow::Result<A> {
    let body = serde_json::to_vec(question)?;
    let request = Request::builder().method(method).uri(path).body(Full::from(body))?;
    let (succeeded, answer) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(send(patience, request))?;
    if succeeded {
        return serde_json::from_slice(&answer).context("xend's answer isn't understood");
    }
    let refusal: Refusal =
        serde_json::from_slice(&answer).context("xend's answer isn't understood")?;
    bail!("{}", refusal.error)
}

async fn send(patience: Duration, request: Request<Full<Bytes>>) -> anyhow::Result<(bool, Bytes)> {
    let stream = connect(patience).await?;
    let left = "xend ended before it answered. It is started again, and puts right what was left \
                half-done: look at `xm list`, then try again";
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context(left)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.context(left)?;
    let succeeded = response.status().is_success();
    let body = response.into_body().collect().await.context(left)?.to_bytes();
    driver.abort();
    Ok((succeeded, body))
}

/// Connects; nothing was asked yet, so that waiting changes nothing.
async fn connect(patience: Duration) -> anyhow::Result<UnixStream> {
    let deadline = Instant::now() + patience;
    loop {
        match UnixStream::connect(SOCKET).await {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("can't reach xend at {SOCKET}; `xm log` says why it isn't there")
                });
            }
        }
    }
}
