"""Describe to OpenAPI what creators see of their refunds and of the wallet that pays them; spelled as on the wire."""

from pydantic import BaseModel, Field

_ADDRESS = "^0x[0-9a-fA-F]{40}$"


class Token(BaseModel):
    """The asset that an authorization is signed for (EIP-712)."""

    chainId: int
    address: str
    name: str
    version: str


class DueRefund(BaseModel):
    """A call that was paid, not answered, and has no re-run left."""

    executionId: str
    network: str = Field(description="CAIP-2")
    asset: str = Field(description="the contract of what is owed")
    token: Token | None = Field(description="what is signed; null: the asset is not served here any more")
    payTo: str = Field(description="the wallet that had paid")
    amountUsdc: str
    dueAt: str
    receivedBy: str = Field(description="the wallet of yours that received the payment")
    payout: str | None = Field(description="where you are paid on this network now")
    boundTo: str | None = Field(description="the wallet whose transfer may still pay it; null if none")


class DueRefunds(BaseModel):
    """What you owe, the oldest first."""

    refunds: list[DueRefund]
    balances: dict[str, str | None] = Field(description="USDC of `wallet` by network; null: the node does not answer")


class Authorization(BaseModel):
    """The members of EIP-3009's TransferWithAuthorization, as x402 spells them."""

    payer: str = Field(alias="from")
    to: str
    value: str
    validAfter: str
    validBefore: str
    nonce: str


class ToSign(BaseModel):
    """An authorization that was recorded for your wallet to sign; repeat the request to get it again."""

    authorization: Authorization | None = Field(description="null: none was recorded, for the `reason`")
    token: Token | None
    reason: str | None


class Payer(BaseModel):
    """The wallet that pays."""

    wallet: str = Field(pattern=_ADDRESS)


class Signed(Payer):
    """Its signature of the authorization."""

    signature: str = Field(pattern="^0x[0-9a-fA-F]{130}$", description="r, s and v, of the wallet's own key")


class RefundPayment(BaseModel):
    """What became of it: `paid`, the chain shows it; `sending`, the chain decides; `void`, it can never be paid so."""

    executionId: str
    state: str
    reason: str | None = Field(description="what was last heard of it; null if it is paid")
    transaction: str | None


class RefundWallet(BaseModel):
    """The wallet that pays your refunds by itself. Its key is shown to nobody."""

    address: str
    enabled: bool
    dailyCapUsdc: str = Field(description="most that it pays in a day (UTC)")
    paidTodayUsdc: str = Field(description="what it paid, or may still pay, on this day (UTC)")
    trouble: str | None = Field(description="why it left refunds unpaid at its last try, as a code; null: it did not")
    advice: str | None = Field(description="the same in words")
    setAt: str


class ToStore(BaseModel):
    """A wallet's key, which is sealed."""

    key: str = Field(description="its private key: 64 hexadecimal digits")
    dailyCapUsdc: str = Field(examples=["2.50"])


class ToChange(BaseModel):
    """What to change of it."""

    dailyCapUsdc: str | None = None
    enabled: bool | None = None


def body(model: type[BaseModel]) -> dict[str, object]:
    """Describe the body of a request."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
