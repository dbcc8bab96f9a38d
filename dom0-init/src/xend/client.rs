//! Asks the daemon.

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::SOCKET;
use super::messages::{Create, Created, Domain, Refusal};

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
    if domain.is_empty() || domain.contains(['/', '?', '#', ' ', '%']) {
        bail!("{domain:?} is no domain's name");
    }
    let path = format!("/v1/domains/{domain}/{action}");
    ask::<_, serde_json::Value>(Method::POST, &path, &()).map(|_empty| ())
}

fn ask<Q: Serialize, A: DeserializeOwned>(
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
        .block_on(send(request))?;
    if succeeded {
        return serde_json::from_slice(&answer).context("xend's answer isn't understood");
    }
    let refusal: Refusal =
        serde_json::from_slice(&answer).context("xend's answer isn't understood")?;
    bail!("{}", refusal.error)
}

async fn send(request: Request<Full<Bytes>>) -> anyhow::Result<(bool, Bytes)> {
    let stream = UnixStream::connect(SOCKET).await.with_context(|| {
        format!("can't reach xend at {SOCKET}; `xm log` says why it isn't there")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("xend left")?;
    let succeeded = response.status().is_success();
    let body = response.into_body().collect().await.context("xend left")?.to_bytes();
    driver.abort();
    Ok((succeeded, body))
}
