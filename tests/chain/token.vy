# pragma version 0.4.3
"""
@title Practice USD
@notice An EIP-3009 token as far as x402's exact scheme uses one, with USDC's events, their order and its revert texts
    (Circle, FiatTokenV2: checks in the order window, nonce, signature, balance; AuthorizationUsed before Transfer).
    Anybody may mint, so it is worth nothing.
"""
# Compiled outside of this project: contracts.json holds `vyper -f abi` and `vyper -f bytecode` of vyper 0.4.3.

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

event AuthorizationCanceled:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

name: public(constant(String[32])) = "Practice USD"
symbol: public(constant(String[8])) = "pUSD"
version: public(constant(String[8])) = "2"
decimals: public(constant(uint8)) = 6

DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
TRANSFER: constant(bytes32) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
CANCEL: constant(bytes32) = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)")

# Half of the order of secp256k1: above it is the twin of a signature that was seen already (EIP-2).
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])


@external
def mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)


@external
def transferWithAuthorization(
    payer: address,
    receiver: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > valid_after, "FiatTokenV2: authorization is not yet valid"
    assert block.timestamp < valid_before, "FiatTokenV2: authorization is expired"
    assert not self.authorizationState[payer][nonce], "FiatTokenV2: authorization is used or canceled"
    self._require_signed(
        payer, keccak256(abi_encode(TRANSFER, payer, receiver, amount, valid_after, valid_before, nonce)), v, r, s
    )
    self.authorizationState[payer][nonce] = True
    log AuthorizationUsed(authorizer=payer, nonce=nonce)
    assert receiver != empty(address), "ERC20: transfer to the zero address"
    assert amount <= self.balanceOf[payer], "ERC20: transfer amount exceeds balance"
    self.balanceOf[payer] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=payer, receiver=receiver, amount=amount)


@external
def cancelAuthorization(authorizer: address, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    assert not self.authorizationState[authorizer][nonce], "FiatTokenV2: authorization is used or canceled"
    self._require_signed(authorizer, keccak256(abi_encode(CANCEL, authorizer, nonce)), v, r, s)
    self.authorizationState[authorizer][nonce] = True
    log AuthorizationCanceled(authorizer=authorizer, nonce=nonce)


@internal
@view
def _require_signed(signer: address, message: bytes32, v: uint8, r: bytes32, s: bytes32):
    assert convert(s, uint256) <= HALF_ORDER, "ECRecover: invalid signature 's' value"
    assert v == 27 or v == 28, "ECRecover: invalid signature 'v' value"
    domain: bytes32 = keccak256(abi_encode(DOMAIN, keccak256(name), keccak256(version), chain.id, self))
    recovered: address = ecrecover(keccak256(concat(b"\x19\x01", domain, message)), v, r, s)
    assert recovered != empty(address), "ECRecover: invalid signature"
    assert recovered == signer, "FiatTokenV2: invalid signature"
