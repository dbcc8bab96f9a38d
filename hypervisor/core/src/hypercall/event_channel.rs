//! `event_channel_op`: what guests do with their event channels (public header
//! `event_channel.h`).

use xen_abi::Argument;
use xen_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindVcpu, BindVirq, Close, EventChannelCmd,
    ExpandArray, FIFO_LINK_BITS, InitControl, PortStatus, Reset, Send, SetPriority, Status, Unmask,
};

use super::{Call, HypercallResult, Outcome};
use crate::domain::Progress;
use crate::errno::Errno;
use crate::event_channel;
use crate::platform::Platform;
use crate::types::{DomId, Gfn, Gva, Port, VcpuId};

/// `event_channel_op(cmd, arg)`.
pub fn event_channel_op<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    let arg = Gva(arg);
    let (hv, domain) = (call.hv, call.domain);
    match EventChannelCmd(cmd as u32) {
        EventChannelCmd::SEND => hv.send_event(domain, Port(call.read::<Send>(arg)?.port))?,
        EventChannelCmd::UNMASK => hv.unmask_event(domain, Port(call.read::<Unmask>(arg)?.port))?,
        EventChannelCmd::ALLOC_UNBOUND => alloc_unbound(call, arg)?,
        EventChannelCmd::BIND_INTERDOMAIN => bind_interdomain(call, arg)?,
        EventChannelCmd::BIND_VIRQ => bind_virq(call, arg)?,
        EventChannelCmd::BIND_IPI => bind_ipi(call, arg)?,
        EventChannelCmd::BIND_VCPU => {
            let bind: BindVcpu = call.read(arg)?;
            hv.bind_vcpu(domain, Port(bind.port), VcpuId(bind.vcpu))?;
        }
        EventChannelCmd::CLOSE => hv.close_port(domain, Port(call.read::<Close>(arg)?.port))?,
        EventChannelCmd::STATUS => status(call, arg)?,
        EventChannelCmd::RESET => return reset(call, arg),
        EventChannelCmd::INIT_CONTROL => init_control(call, arg)?,
        EventChannelCmd::EXPAND_ARRAY => {
            hv.expand_event_array(domain, Gfn(call.read::<ExpandArray>(arg)?.array_gfn))?;
        }
        EventChannelCmd::SET_PRIORITY => {
            let set: SetPriority = call.read(arg)?;
            hv.set_port_priority(domain, Port(set.port), set.priority)?;
        }
        // Physical interrupts come through the virtual IO-APICs and MSI alone.
        EventChannelCmd::BIND_PIRQ => return Err(Errno::EINVAL),
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

fn alloc_unbound<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut alloc: AllocUnbound = call.read(arg)?;
    let target = call.resolve_owned(DomId(alloc.dom))?;
    let remote = match DomId(alloc.remote_dom) {
        DomId::SELF => call.domain.id,
        remote => remote,
    };
    let port = call.hv.alloc_unbound(&target, remote)?;
    alloc.port = port.0;
    call.write(arg, &alloc).inspect_err(|_| {
        // The caller will never know of the port.
        let _ = call.hv.close_port(&target, port);
    })
}

fn bind_interdomain<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut bind: BindInterdomain = call.read(arg)?;
    let remote = call.resolve(DomId(bind.remote_dom))?;
    let port = call.hv.bind_interdomain(call.domain, &remote, Port(bind.remote_port))?;
    bind.local_port = port.0;
    write_or_close(call, arg, &bind, port)
}

fn bind_virq<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut bind: BindVirq = call.read(arg)?;
    let port = call.hv.bind_virq(call.domain, bind.virq, VcpuId(bind.vcpu))?;
    bind.port = port.0;
    write_or_close(call, arg, &bind, port)
}

fn bind_ipi<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut bind: BindIpi = call.read(arg)?;
    let port = call.hv.bind_ipi(call.domain, VcpuId(bind.vcpu))?;
    bind.port = port.0;
    write_or_close(call, arg, &bind, port)
}

/// Tells the caller of its new port, or closes that if it can't be told.
fn write_or_close<P: Platform, T: Argument>(
    call: &Call<'_, P>,
    arg: Gva,
    value: &T,
    port: Port,
) -> Result<(), Errno> {
    call.write(arg, value).inspect_err(|_| {
        let _ = call.hv.close_port(call.domain, port);
    })
}

fn status<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut status: Status = call.read(arg)?;
    let target = call.resolve_owned(DomId(status.dom))?;
    let info = call.hv.port_info(&target, Port(status.port))?;
    status.vcpu = info.vcpu.0;
    (status.status, status.u) = match info.status {
        event_channel::Status::Closed => (PortStatus::CLOSED, [0, 0]),
        event_channel::Status::Unbound(remote) => (PortStatus::UNBOUND, [remote.0.into(), 0]),
        event_channel::Status::Interdomain(remote, port) => {
            (PortStatus::INTERDOMAIN, [remote.0.into(), port.0])
        }
        event_channel::Status::Virq(virq) => (PortStatus::VIRQ, [virq.0, 0]),
        event_channel::Status::Ipi => (PortStatus::IPI, [0, 0]),
    };
    call.write(arg, &status)
}

fn reset<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let reset: Reset = call.read(arg)?;
    let target = call.resolve_owned(DomId(reset.dom))?;
    match call.hv.reset_events(&target) {
        Progress::Done => Ok(Outcome::OK),
        Progress::Again => Ok(Outcome::Continue(call.args)),
    }
}

fn init_control<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut init: InitControl = call.read(arg)?;
    let vcpu = VcpuId(init.vcpu);
    call.hv.init_fifo_control(call.domain, vcpu, Gfn(init.control_gfn), init.offset)?;
    init.link_bits = FIFO_LINK_BITS as u8;
    call.write(arg, &init)
}
