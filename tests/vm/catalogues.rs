//! A guest image goes all the way: published on the host, fetched by the appliance over the network,
//! verified, made into a guest that boots from it.

use mkimage::project::Project;
use mkimage::release::channel::Channel;
use mkimage::release::keys::{self, Password, Signer};
use mkimage::release::publish::{self, Request, Source};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use xenolith_tests::host::Setup;
use xenolith_tests::images;
use xenolith_tests::workbench::Folder;

const CHANNEL: &str = "product = \"guests\"\nchannel = \"stable\"\narch = \"amd64\"\n\
    expires-days = 2\nformats = [\"raw.zst\"]\n[keys]\ngeneration = 1\nthreshold = 1\n\
    files = [\"key.pub\"]\n";

/// Publishes an image; returns the folder and the public key.
fn publish(work: &Folder, image: &Path) -> (PathBuf, String) {
    let project: Project = images::project();
    let key = keys::create(&work.file("key"), None).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(work.file("channel.toml"), CHANNEL).expect("a channel");
    let channel = work.file("channel.toml").display().to_string();
    let channel = Channel::find(&project.releases(), &channel);
    let signer = Signer::open(&work.file("key.key"), &Password::default());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let source = Source {
        name: "tiny".to_owned(),
        title: "The tests' own guest".to_owned(),
        path: image.to_owned(),
        bill: Vec::new(),
    };
    let folder = work.file("public");
    let request = Request {
        channel: &channel.unwrap_or_else(|error| panic!("{error}")),
        images: vec![source],
        remove: Vec::new(),
        version: None,
        now,
        folder: &folder,
    };
    let signers = [signer.unwrap_or_else(|error| panic!("{error}"))];
    publish::publish(&request, &signers).unwrap_or_else(|error| panic!("{error}"));
    (folder, key)
}

/// Serves a folder by HTTP on the loopback interface; returns the port.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let server = tiny_http::Server::from_listener(listener, None).expect("a server");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let name = request.url().trim_start_matches('/').to_owned();
            // A client that went away is seen at its own end.
            let _ = match std::fs::read(folder.join(name)) {
                Ok(bytes) => request.respond(tiny_http::Response::from_data(bytes)),
                Err(_) => request.respond(tiny_http::Response::empty(404)),
            };
        }
    });
    port
}

#[test]
fn a_guest_is_made_of_a_published_image() {
    let work = Folder::new("published");
    let setup = Setup::new("images").data_mib(400);
    let (folder, key) = publish(&work, &setup.own_disk());
    let packed = std::fs::read_dir(&folder).expect("the release").flatten();
    let mut packed = packed.map(|entry| entry.path());
    let packed = packed.find(|path| path.extension().is_some_and(|end| end == "zst"));
    let packed = packed.expect("the image in the release");
    let port = serve(folder);
    let catalogue = format!(
        "(image-catalogue 'http://10.0.2.2:{port} key={key} product=guests channel=stable')\n"
    );
    let mut host = setup.text("config/xend-config.sxp", &catalogue).boot();
    host.wait_until("xm image list 2>/dev/null | grep -q '^tiny .*offered'");

    // A file that isn't the signed one, then the right one.
    let good = std::fs::read(&packed).expect("the image");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&packed, flipped).expect("a damaged image");
    let (status, said) = host.try_shell("xm image pull tiny 2>&1");
    assert!(status != 0 && said.contains("nothing of it is kept"), "{said}");
    assert_eq!(host.shell("ls /data/images /data/images/.partial").matches("tiny").count(), 0);
    std::fs::write(&packed, good).expect("the image again");
    let said = host.shell("xm image pull tiny");
    assert!(said.contains("tiny is here: release 1, verified"), "{said}");
    assert!(host.shell("xm image pull tiny").contains("up to date"));
    assert!(host.shell("xm image verify tiny").contains("is what it was"));

    let said = host.shell(
        "xm image create web --from tiny --size 64M --memory 256 -k 'ssh-ed25519 AAAAC3 me@home'",
    );
    assert!(said.contains("Started domain web"), "{said}");
    host.wait_for_shell("web");
    let line = host.guest("web", "cat /proc/cmdline");
    assert!(line.contains("from=disk"), "{line}");
    // Its disk has grown, and so has the partition on it.
    let sizes = host.guest("web", "cat /sys/block/xvda/size /sys/block/xvda/xvda1/size");
    assert_eq!(sizes, "131072\n126976\n");
    host.guest("web", "grep -q 'local-hostname: \"web\"' /dev/xvdb");
    host.guest("web", "grep -q 'ssh-ed25519 AAAAC3 me@home' /dev/xvdb");
    host.guest("web", "! dd if=/dev/zero of=/dev/xvdb count=1 2>/dev/null");

    let (status, said) = host.try_shell("xm image create web --from tiny 2>&1");
    assert!(status != 0 && said.contains("web.cfg is there already"), "{said}");
    host.shell("xm image rm tiny");
    assert_eq!(host.shell("ls /data/images"), "");
    assert_eq!(host.guest("web", "echo on"), "on\n");
    host.xm("shutdown -w web");
    host.wait_for_state("web", None);
    // Made once, it starts as any other.
    assert!(host.shell("xm create web").contains("Started domain web"));
    host.shell("xm destroy web");
    host.end();
}
