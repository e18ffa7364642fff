"""Packets to access units: WHIP, ICE, DTLS, RTP."""
