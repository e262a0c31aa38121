"""Settings of the velocity detector, from the environment."""

from pathlib import Path
from typing import Annotated, Literal

from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_units.durations import parse_duration
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cardwatch_detector.runtime.settings import Duration


def _scopes(text: str) -> str:
    unknown = [scope for scope in text.split(",") if scope.strip() not in SCOPE_KEYS]
    if unknown:
        raise ValueError(f"unknown scope {unknown[0]!r}; known are {', '.join(SCOPE_KEYS)}")
    return text


class VelocitySettings(BaseSettings):
    """The velocity queries: ``CARDWATCH_DETECTOR_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_DETECTOR_", extra="ignore", frozen=True)

    rules: Annotated[
        Path | None, Field(description="a rule file (YAML) that never changes, instead of the rules of rules.v1")
    ] = None
    name: Annotated[str, Field(description="under which `cardwatch rules list` shows this detector")] = "detector"
    rule_budget_seconds: Annotated[
        float, Field(gt=0, description="time per micro-batch that one rule may take before it is set aside")
    ] = 1.0
    scopes: Annotated[str, AfterValidator(_scopes), NoDecode, Field(description="comma separated")] = "card,merchant"
    lateness: Annotated[Duration, Field(description="how far behind the newest event a transaction may come")] = "1h"
    clock_tolerance: Annotated[
        Duration, Field(description="how far past this machine's clock a transaction may move the watermark")
    ] = "1m"
    horizon_card: Annotated[Duration, Field(description="how far back a card's windows can reach")] = "30h"
    horizon_merchant: Annotated[Duration, Field(description="how far back a merchant's windows can reach")] = "1h"
    horizon_device: Annotated[Duration, Field(description="how far back a device's windows can reach")] = "1h"
    horizon_ip: Annotated[Duration, Field(description="how far back an address's windows can reach")] = "1h"
    horizon_bin: Annotated[Duration, Field(description="how far back a BIN's windows can reach")] = "1h"
    profiles: Annotated[bool, Field(description="keep the profiles of cards (cards.profile.v1) in the state too")] = (
        True
    )
    checkpoint_dir: Annotated[str, Field(description="any Hadoop file system")] = ".cardwatch/checkpoints/velocity"
    partitions: Annotated[
        int, Field(ge=1, description="partitions of the state; fixed by the checkpoint: choose for peak")
    ] = 2
    max_offsets_per_trigger: Annotated[
        int | None,
        Field(ge=1, description="transactions in a micro-batch at most; 50,000 for latency, 250,000 for throughput"),
    ] = None
    trigger_seconds: Annotated[
        float, Field(ge=0, description="time between starts of micro-batches; 0: no pause between them")
    ] = 0.5
    tuned_for: Annotated[
        Literal["latency", "throughput"],
        Field(description="latency interprets small batches, throughput compiles large ones"),
    ] = "latency"
    state_cache_mb: Annotated[
        int, Field(ge=8, description="memory for state read from disk, MB per partition, outside Java's heap")
    ] = 128
    warm_up: Annotated[bool, Field(description="run synthetic transactions before reporting ready")] = True
    evidence_limit: Annotated[int, Field(ge=1, description="transaction ids in an alert at most")] = 500

    @property
    def max_batch_transactions(self) -> int:
        """How many transactions a micro-batch takes at most.

        The cost of loading a card's state does not depend on how many of its transactions a micro-batch contains.
        """
        return self.max_offsets_per_trigger or (50_000 if self.tuned_for == "latency" else 250_000)

    @property
    def title(self) -> str:
        """What this detector is called where others see it as the holder of a lease."""
        return self.name if "detector" in self.name else f"detector {self.name}"

    def horizon_us(self, scope: str) -> int:
        """How far back the windows of a scope can reach, microseconds."""
        return parse_duration(str(getattr(self, f"horizon_{scope}")))

    @property
    def kept_back_us(self) -> int:
        """How far back a detector without a checkpoint has to read to raise the right alerts, microseconds."""
        return max(self.horizon_us(scope) for scope in self.scope_list()) + parse_duration(self.lateness)

    def scope_list(self) -> list[str]:
        """The scopes that this process runs, which share one query."""
        return [scope.strip() for scope in self.scopes.split(",")]
