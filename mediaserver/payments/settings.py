"""The tables ``[payments]`` and ``[payout]``. Why each default: config/mediaserver.toml."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PaymentsSettings:
    """What money buys, how much at once, and who says that it was paid."""

    currency: str = "EUR"
    currency_decimals: int = field(default=2, metadata={"low": 0, "high": 4})
    planck_per_minor_unit: str = "0"
    top_up_min: int = field(default=500, metadata={"low": 1, "high": 99999999})
    top_up_max: int = field(default=20000, metadata={"low": 1, "high": 99999999})
    webhook_secret_file: str = ""
    webhook_pay_url: str = ""
    webhook_charge_url: str = ""
    stripe_secret_key_file: str = ""
    stripe_webhook_secret_file: str = ""
    stripe_live: bool = False
    stripe_product: str = "Balance"
    stripe_url: str = "https://api.stripe.com"

    @property
    def has_provider(self) -> bool:
        """Return whether people pay in by themselves, by a provider other than the demo's."""
        return bool(self.webhook_secret_file or self.stripe_secret_key_file)


@dataclass(frozen=True, slots=True)
class PayoutSettings:
    """The table ``[payout]``: when earnings go out. Why each default: config/mediaserver.toml."""

    maturing_days: int = field(default=7, metadata={"low": 0, "high": 365})
