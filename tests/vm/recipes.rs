//! The recipes' services, under the hypervisor. The router is built and booted always;
//! `XENOLITH_TEST_RECIPES=web,nfs,mpi,bare` adds others behind it, of which each takes minutes.

use mkimage::assemble::Output;
use mkimage::disk::content::{Files, Source};
use mkimage::disk::fat::{self, Label};
use mkimage::guest;
use mkimage::recipe::{Guest, PartitionTable, Recipe, Size};
use std::fmt::Write;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::images;
use xenolith_tests::workbench::Folder;

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
/// Room on the data partition for each guest's system.
const ROOM_MIB: usize = 1280;

/// What tells a guest that it got an address, for busybox.
const LEASE: &str = "#!/bin/sh\\n[ $1 = bound ] || exit 0\\nifconfig $interface $ip netmask $subnet\\n\
    route add default gw $router\\necho nameserver $dns >/etc/resolv.conf\\n";

/// What a recipe is for, shown by guests behind the router.
struct Service {
    name: &'static str,
    recipe: &'static str,
    table: PartitionTable,
    /// A script of bash that all of its guests begin with.
    prelude: &'static str,
    /// The guests, in the order in which they start, and a script for each that fails where
    /// something isn't as it should be. They run until the last one was asked.
    guests: &'static [(&'static str, &'static str)],
    /// A command of another guest, and what it is to print.
    asked: Option<(&'static str, &'static str)>,
}

const SERVICES: [Service; 4] = [
    Service {
        name: "web",
        recipe: "web",
        table: PartitionTable::Gpt,
        prelude: "",
        guests: &[("web", "systemctl is-active nginx")],
        asked: Some(("wget -q -O - http://web.inside.internal/", "It serves")),
    },
    Service {
        name: "nfs",
        recipe: "nfs",
        table: PartitionTable::Gpt,
        prelude: "",
        guests: &[
            ("nfs", "install -d -m 1777 /srv/nfs/shared\nexportfs -v | grep ^/srv/nfs"),
            ("nfs-client", NFS_CLIENT),
        ],
        asked: None,
    },
    Service {
        name: "mpi",
        recipe: "mpi",
        table: PartitionTable::Gpt,
        prelude: MPI_KEYS,
        guests: &[("node2", "systemctl is-active ssh"), ("node1", MPI_RUN)],
        asked: None,
    },
    Service {
        name: "bare",
        recipe: "debian-13",
        table: PartitionTable::None,
        prelude: "",
        guests: &[("bare", BARE)],
        asked: None,
    },
];

/// Reads, and writes what is there still when the server is asked again; root is nobody.
const NFS_CLIENT: &str = "server=nfs.inside.internal:/srv/nfs
mount -t nfs4 $server /mnt
grep 'vers=4.2' /proc/mounts
grep shares /mnt/README
if touch /mnt/mine; then false; fi
head -c 16M /dev/urandom | tee /mnt/shared/file | sha256sum >/run/sum
umount /mnt
mount -t nfs4 $server /mnt
sha256sum </mnt/shared/file | cmp - /run/sum
[ $(stat -c %U /mnt/shared/file) = nobody ]";

/// The key pair that all nodes get: a PKCS #8 file of these bytes.
const MPI_KEYS: &str = "cd /home/mpi/.ssh
umask 077
{
echo '-----BEGIN PRIVATE KEY-----'
echo 302E020100300506032B657004220420@RANDOM@ | basenc -d --base16 | base64
echo '-----END PRIVATE KEY-----'
} >id_ed25519
ssh-keygen -y -f id_ed25519 >authorized_keys
chown mpi:mpi id_ed25519 authorized_keys";

/// Two ranks on each of two nodes.
const MPI_RUN: &str = "su - mpi -c 'mpirun --host node1:2,node2:2 hostname' | sort >/run/said
printf '%s\\n' node1 node1 node2 node2 | cmp - /run/said";

/// A disk that is a file system, which has grown over it.
const BARE: &str = "[ $(findmnt -n -o SOURCE /) = /dev/xvda ]
[ $(df --output=size --block-size=1M / | tail -n 1) -gt 2500 ]";
/// By how much it may grow, in bytes.
const MORE: u64 = 1 << 30;

/// A program as user data: it does something, and says on the console how the system is afterwards.
fn user_data(script: &str) -> String {
    format!(
        "#!/bin/bash\ncat >/run/check <<'end'\nset -eo pipefail\nexec >/run/said.check 2>&1\n\
         state=$(systemctl is-system-running --wait || true)\n\
         trap 'status=$?; cat /run/said.check >/dev/console; \
         echo \"it is $state, and the check ended with $status\" >/dev/console' EXIT\n\
         set -x\n{script}\nend\nsystemd-run --no-block --collect bash /run/check\n"
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

/// Puts the disk of a recipe's guest at a path.
fn disk(recipe: &Recipe, place: &Path) {
    let project = images::project();
    let build = |output| {
        let built = guest::build(&project, recipe, &output);
        let disk = built.and_then(|built| built.disk().map(Path::to_owned));
        disk.unwrap_or_else(|error| panic!("the image can't be built: {error}"))
    };
    if recipe.guest.as_ref().map(Guest::partition_table) == Some(PartitionTable::None) {
        let folder = Folder::new("bare");
        std::fs::copy(build(Output::Folder(folder.file("out"))), place).expect("the image");
        let disk = std::fs::File::options().write(true).open(place).expect("the image");
        let size = disk.metadata().expect("its size").len();
        return disk.set_len(size + MORE).expect("more room");
    }
    // It is only read, until it is on the data partition.
    let built = build(Output::Cache);
    let linked = std::fs::hard_link(&built, place);
    linked.or_else(|_| std::fs::copy(&built, place).map(drop)).expect("the image");
}

/// Puts a guest's disk, its metadata and its config onto the data partition.
fn add(setup: Setup, recipe: &Recipe, name: &str, vif: &str, script: &str) -> Setup {
    let known = recipe.guest.as_ref().expect("the recipe of a guest");
    let config = format!(
        "bootloader = 'pvgrub'\nmemory = {}\nvcpus = {}\nvif = {vif}\n\
         disk = ['file:/data/{name}.img,xvda,w', 'file:/data/{name}.seed.img,xvdb,r']\n",
        known.memory().bytes() >> 20,
        known.vcpus()
    );
    setup
        .changed(&format!("{name}.img"), |place| disk(recipe, place))
        .changed(&format!("{name}.seed.img"), |place| seed(place, name, script))
        .text(&format!("config/guests/{name}.cfg"), &config)
}

/// A recipe, with disks that begin with this.
fn recipe(name: &str, table: PartitionTable) -> Recipe {
    let mut recipe = images::project().recipe(name).unwrap_or_else(|error| panic!("{error}"));
    if let Some(guest) = &mut recipe.guest {
        guest.partition_table = Some(table);
    }
    recipe
}

/// Starts a guest, and waits until it has said that all is well.
fn start(host: &mut Host, name: &str) {
    let said = host.vm.command_within(&format!("xm create {name}"), BOOT);
    assert!(said.contains("Started domain"), "{said}");
    host.open_console(name);
    let said = host.vm.expect("the check ended with ", BOOT);
    let status = host.vm.expect("\n", BOOT);
    host.leave_console();
    assert!(said.contains("it is running, and") && status.trim() == "0", "{name}: {said}{status}");
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

/// Bytes that nobody knows, in hexadecimal digits as `basenc` reads them.
fn random() -> String {
    let mut bytes = [0; 32];
    let source = std::fs::File::open("/dev/urandom");
    source.and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02X}").expect("a string");
        text
    })
}

/// The services that the environment asks for.
fn asked() -> Vec<&'static Service> {
    let names = std::env::var("XENOLITH_TEST_RECIPES").unwrap_or_default();
    let known = |name| {
        let found = SERVICES.iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("no test knows `{name}`"))
    };
    names.split(',').filter(|name| !name.is_empty()).map(known).collect()
}

/// Starts a service's guests, and asks it from outside of them.
fn check(host: &mut Host, service: &Service) {
    for (name, _) in service.guests {
        start(host, name);
    }
    if let Some((command, expected)) = service.asked {
        let said = host.guest("client", command);
        assert!(said.contains(expected), "{}: {said}", service.name);
    }
    for (name, _) in service.guests {
        host.shell(&format!("xm destroy {name}"));
    }
}

#[test]
fn the_router_leads_out_and_the_services_serve() {
    let asked = asked();
    let script = format!("nft add element ip router forwards '{{ 8080 : {INSIDE} . 80 }}'");
    let setup = Setup::new("recipes").text("config/xend-config.sxp", NETWORKS);
    let setup = setup.text("config/guests/client.cfg", &config("vif = ['bridge=dummybr0']"));
    let router = recipe("router", PartitionTable::Gpt);
    let mut setup = add(setup, &router, "router", "['', 'bridge=dummybr0']", &script);
    let (mut guests, random) = (1, random());
    for service in &asked {
        let recipe = recipe(service.recipe, service.table);
        let prelude = service.prelude.replace("@RANDOM@", &random);
        for (name, script) in service.guests {
            let script = format!("{prelude}\n{script}");
            setup = add(setup, &recipe, name, "['bridge=dummybr0']", &script);
            guests += 1;
        }
    }
    let room = u32::try_from(ROOM_MIB * guests).expect("a few");
    let memory = Size::mib(if asked.is_empty() { 2048 } else { 3072 });
    let mut host = setup.data_mib(room).memory(memory).boot();

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
    for service in asked {
        check(&mut host, service);
    }
    host.shell("xm destroy client; xm destroy router");
    host.end();
}
