"""Addresses that references may lead to."""

import ipaddress

import pytest

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.ingest.addresses import checked, is_public


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "8.8.8.8",
        "192.0.1.1",
        "198.17.255.255",
        "168.63.129.17",
        "223.255.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "::ffff:93.184.216.34",
        "2606:2800:220:1::1",
        "2001:200::1",
        "2a00:1450::1",
    ],
)
def test_addresses_of_the_public_internet_are_open(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.9",
        "192.0.0.192",
        "192.0.2.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.168.1.1",
        "192.175.48.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
    ],
)
def test_special_and_cloud_ipv4_addresses_are_closed_mapped_into_ipv6_too(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not is_public(ipaddress.ip_address(f"::ffff:{address}"))


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "::10.0.0.1",
        "::93.184.216.34",
        "::ffff:0:127.0.0.1",
        "64:ff9b::93.184.216.34",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:5db8:d822::1",
        "3ffe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2606:2800:220:1:0:5efe:10.0.0.1",
        "fe80::1%1",
        "2606:2800:220:1::1%1",
    ],
)
def test_ipv6_addresses_that_are_not_public_or_carry_ipv4_are_closed(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::", False),
        ("169.254.169.254", False),
        ("::127.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("fe80::1", False),
    ],
)
def test_allowing_loopback_admits_this_host_and_nothing_else(address: str, *, admitted: bool) -> None:
    assert is_public(ipaddress.ip_address(address), allow_loopback=True) is admitted


def test_other_ports_are_open_on_loopback_alone() -> None:
    assert checked("h", 9000, ["127.0.0.1", "::1"], (80,), allow_loopback=True) == ["127.0.0.1", "::1"]
    assert checked("h", 80, ["93.184.216.34"], (80,), allow_loopback=True) == ["93.184.216.34"]
    for answers in (["93.184.216.34"], ["127.0.0.1", "93.184.216.34"]):
        with pytest.raises(RecordFault, match="WATCHWORD_FETCH_PORTS"):
            checked("h", 9000, answers, (80,), allow_loopback=True)


def test_an_answer_that_is_no_address_is_refused() -> None:
    with pytest.raises(RecordFault) as caught:
        checked("h", 80, ["127.1"], (80,), allow_loopback=False)
    assert caught.value.reason is DeadLetterReason.REFERENCE_FORBIDDEN
