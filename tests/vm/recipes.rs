//! The recipes' services, under the hypervisor. The router is built and booted always;
//! `XENOLITH_TEST_RECIPES=web,nfs,mpi` adds others, of which each takes minutes.

use mkimage::assemble::Output;
use mkimage::disk::content::{Files, Source};
use mkimage::disk::fat::{self, Label};
use mkimage::guest;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::images;

/// For a whole system from its creation to its last unit, on a slow host.
const BOOT: Duration = Duration::from_secs(1200);
/// The isolated network, besides the usual one.
const NETWORKS: &str = "(network-script network-bridge)\n\
    (network-script 'network-bridge bridge=dummybr0 netdev=none')\n";
/// What QEMU's network gives to the second who asks: the control domain asks first.
const OUTSIDE: &str = "10.0.2.16";
/// A client's address, inside; one of those that the router gives away.
const INSIDE: &str = "192.168.50.150";
/// Bytes of a disk with metadata.
const SEED: u64 = 8 << 20;

/// What tells a guest that it got an address, for busybox.
const LEASE: &str = "#!/bin/sh\\n[ $1 = bound ] || exit 0\\nifconfig $interface $ip netmask $subnet\\n\
    route add default gw $router\\necho nameserver $dns >/etc/resolv.conf\\n";

/// A service, and a script of bash in its guest that fails where it doesn't serve.
const SERVICES: [(&str, &str); 3] = [
    (
        "web",
        "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; \
         page=$(cat <&3); [[ $page = *'200 OK'*'It serves'* ]]",
    ),
    (
        "nfs",
        "own=$(hostname -I); mount -t nfs4 ${own%% *}:/srv/nfs /mnt; grep -q shares /mnt/README; \
         grep -q 'vers=4.2' /proc/mounts",
    ),
    (
        "mpi",
        "su - mpi -c 'ssh-keygen -q -t ed25519 -N \"\" -f .ssh/id_ed25519; \
         cp .ssh/id_ed25519.pub .ssh/authorized_keys; \
         ssh $(hostname) true; mpirun --host localhost:2 -np 2 hostname' >/run/said; \
         [ $(grep -c '^mpi$' /run/said) = 2 ]",
    ),
];

/// A program as user data: it does something, and says on the console how the system is afterwards.
fn user_data(script: &str) -> String {
    format!(
        "#!/bin/bash\ncat >/run/check <<'end'\nset -e\n\
         state=$(systemctl is-system-running --wait || true)\n\
         trap 'echo \"it is $state, and the check ended with $?\" >/dev/console' EXIT\n{script}\nend\n\
         systemd-run --no-block --collect bash /run/check\n"
    )
}

/// A disk with metadata, as `xm image create` makes one.
fn seed(path: &Path, name: &str, script: &str) {
    let meta = format!("instance-id: \"i-{name}\"\nlocal-hostname: \"{name}\"\n");
    let files: Files = [("meta-data", meta), ("user-data", user_data(script))]
        .map(|(name, text)| (name.to_owned(), Source::Bytes(text.into_bytes())))
        .into();
    let mut disk = std::fs::File::create_new(path).expect("a disk with metadata");
    disk.set_len(SEED).expect("its room");
    let label = Label { name: "CIDATA", serial: 1 };
    fat::write(&mut disk, SEED, label, false, &files).expect("its file system");
}

/// Puts a recipe's image, its metadata and its config onto the data partition.
fn add(setup: Setup, recipe: &str, vif: &str, script: &str) -> Setup {
    let project = images::project();
    let built = project
        .recipe(recipe)
        .and_then(|recipe| guest::build(&project, &recipe, &Output::Cache))
        .and_then(|built| built.disk().map(Path::to_owned))
        .unwrap_or_else(|error| panic!("the image can't be built: {error}"));
    let known = project.recipe(recipe).ok().and_then(|recipe| recipe.guest);
    let memory = known.expect("the recipe of a guest").memory().bytes() >> 20;
    let config = format!(
        "bootloader = 'pvgrub'\nmemory = {memory}\nvif = {vif}\n\
         disk = ['file:/data/{recipe}.img,xvda,w', 'file:/data/{recipe}.seed.img,xvdb,r']\n"
    );
    setup
        .changed(&format!("{recipe}.img"), |place| {
            // It is only read, until it is on the data partition.
            let linked = std::fs::hard_link(&built, place);
            linked.or_else(|_| std::fs::copy(&built, place).map(drop)).expect("the image");
        })
        .changed(&format!("{recipe}.seed.img"), |place| seed(place, recipe, script))
        .text(&format!("config/guests/{recipe}.cfg"), &config)
}

/// Starts a guest, and waits until it has said that all is well.
fn start(host: &mut Host, recipe: &str) {
    let said = host.vm.command_within(&format!("xm create {recipe}"), BOOT);
    assert!(said.contains("Started domain"), "{said}");
    host.open_console(recipe);
    let said = host.vm.expect("the check ended with ", BOOT);
    let status = host.vm.expect("\n", BOOT);
    host.leave_console();
    assert!(
        said.contains("it is running, and") && status.trim() == "0",
        "{recipe}: {said}{status}"
    );
}

/// Answers requests by HTTP on the loopback interface; returns the port.
fn serve(page: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let server = tiny_http::Server::from_listener(listener, None).expect("a server");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            // A guest that went away is seen at its own end.
            let _ = request.respond(tiny_http::Response::from_string(page));
        }
    });
    port
}

#[test]
fn the_router_leads_out_and_the_services_serve() {
    let asked = std::env::var("XENOLITH_TEST_RECIPES").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|name| !name.is_empty()).collect();
    let script = format!("nft add element ip router forwards '{{ 8080 : {INSIDE} . 80 }}'");
    let setup = Setup::new("recipes").text("config/xend-config.sxp", NETWORKS);
    let setup = setup.text("config/guests/client.cfg", &config("vif = ['bridge=dummybr0']"));
    let mut setup = add(setup, "router", "['', 'bridge=dummybr0']", &script);
    for recipe in &asked {
        let known = SERVICES.iter().find(|(name, _)| name == recipe);
        let (name, script) = known.unwrap_or_else(|| panic!("no test knows a recipe `{recipe}`"));
        setup = add(setup, name, "['']", script);
    }
    let room = 1280 * (1 + u32::try_from(asked.len()).expect("a few"));
    let mut host = setup.data_mib(room).boot();

    start(&mut host, "router");
    host.create("client", "client");
    host.guest("client", &format!("printf '{LEASE}' >/lease; chmod +x /lease"));
    host.guest("client", "ifconfig lo 127.0.0.1 up; ifconfig eth0 up");
    let lease = format!("udhcpc -i eth0 -r {INSIDE} -x hostname:client -n -q -f -t 20 -s /lease");
    host.guest("client", &format!("{lease} >/dev/null 2>&1"));
    let address = host.guest("client", "ifconfig eth0");
    assert!(address.contains(&format!("addr:{INSIDE} ")), "{address}");
    let names = host.guest("client", "nslookup client.inside.internal");
    assert!(names.contains(INSIDE), "{names}");
    // Out, by the router's address.
    let port = serve("from outside\n");
    let page = host.guest("client", &format!("wget -q -O - http://10.0.2.2:{port}/"));
    assert_eq!(page, "from outside\n");
    // In, only where a port is forwarded.
    host.guest("client", "mkdir -p /www; echo from inside >/www/index.html; httpd -h /www");
    let page = host.shell(&format!("wget -q -T 20 -O - http://{OUTSIDE}:8080/"));
    assert_eq!(page, "from inside\n");
    host.shell(&format!("route add -net 192.168.50.0 netmask 255.255.255.0 gw {OUTSIDE}"));
    let (status, said) = host.try_shell(&format!("wget -q -T 5 -O - http://{INSIDE}/ 2>&1"));
    assert!(status != 0 && !said.contains("from inside"), "{said}");
    host.shell("xm destroy client; xm destroy router");
    for recipe in asked {
        start(&mut host, recipe);
        host.shell(&format!("xm destroy {recipe}"));
    }
    host.end();
}
