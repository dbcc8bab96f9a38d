//! Requests over HTTP, on a local socket: paths and bodies are in [`super::messages`].

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixListener;

use super::changes::{self, parse};
use super::messages::Refusal;
use super::toolstack::Toolstack;
use super::{SOCKET, Shared, lock};
use crate::local_socket::listen_nonblocking;

/// The longest body of a request.
const LONGEST: usize = 1 << 20;

/// Serves requests until the socket fails.
///
/// # Errors
/// When the socket can't be made.
pub fn serve(shared: &Shared) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(accept(shared))
}

async fn accept(shared: &Shared) -> anyhow::Result<()> {
    let listener = UnixListener::from_std(listen_nonblocking(SOCKET)?)?;
    log::info!("listening on {SOCKET}");
    loop {
        let (stream, _) = listener.accept().await.with_context(|| SOCKET.to_owned())?;
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                log::info!("a client left: {error}");
            }
        });
    }
}

async fn answer(
    shared: Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LONGEST).collect().await;
    let done = match body {
        Ok(body) => {
            let body = body.to_bytes();
            // Building a guest takes long: others are answered meanwhile, as far as they can be.
            let work = move || act(&mut lock(&shared), &head.method, head.uri.path(), &body);
            tokio::task::spawn_blocking(work).await.context("internal error").and_then(|done| done)
        }
        Err(error) => Err(anyhow::anyhow!("the request's body: {error}")),
    };
    let (status, text) = match done {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => {
            let refusal = Refusal { error: format!("{error:#}") };
            (StatusCode::BAD_REQUEST, serde_json::to_string(&refusal).unwrap_or_default())
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}

/// Does one request; gives the answer's body.
fn act(
    toolstack: &mut Toolstack,
    method: &Method,
    path: &str,
    body: &[u8],
) -> anyhow::Result<String> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["v1", "domains"]) => json(&toolstack.domains()?),
        (&Method::POST, ["v1", "domains"]) => {
            let create = parse(body)?;
            json(&toolstack.create(create)?)
        }
        (&Method::GET, ["v1", "domains", name, "vifs"]) => {
            let domain = toolstack.find(name)?;
            json(&toolstack.vifs(domain)?)
        }
        (&Method::POST, ["v1", "domains", name, "vifs"]) => {
            let domain = toolstack.find(name)?;
            let attach = parse(body)?;
            json(&toolstack.attach_vif(domain, attach)?)
        }
        (&Method::DELETE, ["v1", "domains", name, "vifs", which]) => {
            let domain = toolstack.find(name)?;
            toolstack.detach_vif(domain, which)?;
            Ok("{}".to_owned())
        }
        (&Method::GET, ["v1", "managed"]) => json(&toolstack.managed()),
        (&Method::POST, ["v1", "managed"]) => {
            let create = parse(body)?;
            json(&toolstack.define(create)?)
        }
        (&Method::POST, ["v1", "managed", name, "start"]) => {
            let start = parse(body)?;
            json(&toolstack.start_managed(name, &start)?)
        }
        (&Method::DELETE, ["v1", "managed", name]) => {
            toolstack.delete(name)?;
            Ok("{}".to_owned())
        }
        (&Method::POST, ["v1", "domains", name, action @ ..]) => {
            changes::act(toolstack, name, action, body)?;
            Ok("{}".to_owned())
        }
        _ => bail!("there is no {method} {path}"),
    }
}

fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}
