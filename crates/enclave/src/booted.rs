//! *Booted → Bound*: everything that is public is checked, and the registers are tied to it (PROTOCOL §10, Bind).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::marker::PhantomData;

use entente_agreement::{
    Agreement, ApprovedAgreement, Authorize, InputSet, Manifest, Name, Request, SignedInputs, SignedManifest,
    SignedRequest, VerifiedInputs,
};
use entente_analysis::{Analysis, is_kind_of};
use entente_attestation::{Digest384, PcrIndex, pcr16_for, pcr17_for};
use entente_channel::{Documents, PartySignature};
use entente_nsm::{Lock, Nsm, PcrState};

use crate::evidence::{self, SelfCheck};
use crate::machine::AvailableMemory;
use crate::refusal::{ListFault, Refusal, Register};
use crate::{Bound, Host, Job};

/// The program runs and knows nothing yet.
#[derive(Debug)]
#[must_use = "a life goes on until it ends"]
pub struct Booted<A> {
    nsm: Nsm,
    memory: AvailableMemory,
    analysis: PhantomData<A>,
}

impl<A: Analysis> Booted<A> {
    /// Begins a life with this NSM and this much memory.
    pub fn new(nsm: Nsm, memory: AvailableMemory) -> Self {
        Self { nsm, memory, analysis: PhantomData }
    }

    /// Steps 1 (memory) to 5 of PROTOCOL §10.
    ///
    /// # Errors
    /// The first [`Refusal`], in the order of the steps.
    pub fn bind<C: Read + Write>(self, host: &mut Host<C>) -> Result<Bound<A>, Refusal> {
        let Self { mut nsm, memory, .. } = self;
        let documents = host.documents().map_err(Refusal::Documents)?;
        let Documents { agreement, approvals, analysis, inputs, input_signatures, manifests, request } =
            documents;

        // Step 2: the agreement and all approvals.
        let agreement = Agreement::parse(&agreement).map_err(Refusal::Agreement)?;
        let approvals = by_party(approvals).map_err(Refusal::ApprovalList)?;
        let agreement = ApprovedAgreement::verify(agreement, &approvals).map_err(Refusal::Approvals)?;
        let name = Name::new(&analysis).map_err(|_| Refusal::UnknownAnalysis)?;
        let terms = agreement.analysis(&name).cloned().ok_or(Refusal::UnknownAnalysis)?;
        let image = agreement.image(terms.image()).cloned().ok_or(Refusal::UnknownAnalysis)?;

        // Step 1, its last sentence: only now is it known how much memory was agreed.
        let needed = u64::from(terms.memory_mib());
        if memory.mib() < needed {
            return Err(Refusal::Memory { needed_mib: needed, available_mib: memory.mib() });
        }

        // Step 3: this is the agreed image on agreed ground, at an agreed time, and nobody has bound it to anything yet.
        let SelfCheck { anchor } = evidence::self_check(&mut nsm, &agreement, &image)?;
        if !is_kind_of(&name, A::NAME) {
            return Err(Refusal::OtherProgram { compiled_in: A::NAME });
        }
        let analysis = A::configure(&agreement, &terms).map_err(Refusal::Parameters)?;

        // Step 4: the input set, its manifests and the request.
        let set = InputSet::parse(&inputs).map_err(Refusal::InputSet)?;
        let signatures = by_party(input_signatures).map_err(Refusal::SignatureList)?;
        let manifests = by_dataset(manifests)?;
        let request = request.map(signed_request).transpose()?;
        let inputs = SignedInputs::new(set, signatures, manifests);
        let inputs = VerifiedInputs::verify(&agreement, &name, inputs, request).map_err(Refusal::Inputs)?;
        check_request(&terms, inputs.request())?;

        // Step 5: both registers are tied to what was checked, before anything secret is asked for.
        bind_register(&mut nsm, PcrIndex::AGREEMENT, &agreement.digest(), pcr16_for)?;
        bind_register(&mut nsm, PcrIndex::INPUT_SET, &inputs.set().digest(), pcr17_for)?;

        Ok(Bound::new(nsm, Job { agreement, terms, image, analysis, inputs, anchor }))
    }
}

/// Extends and locks one register, which must be zero and unlocked before and hold exactly this afterwards.
fn bind_register(
    nsm: &mut Nsm,
    index: PcrIndex,
    digest: &Digest384,
    expected: fn(&Digest384) -> Digest384,
) -> Result<(), Refusal> {
    let number = u16::from(index.number());
    let expected = expected(digest);
    let refuse = |at: Register| Refusal::Register { index, at };
    if nsm.describe_pcr(number)? != (PcrState { lock: Lock::Unlocked, value: Digest384::ZERO }) {
        return Err(refuse(Register::NotFresh));
    }
    if nsm.extend_pcr(number, digest.as_bytes())? != expected {
        return Err(refuse(Register::ExtendedWrongly));
    }
    nsm.lock_pcr(number)?;
    if nsm.describe_pcr(number)? != (PcrState { lock: Lock::Locked, value: expected }) {
        return Err(refuse(Register::NotLocked));
    }
    Ok(())
}

/// Analyses of this build read no request parameters, so that a request only authorizes the run; anything more would be an
/// instruction that is signed and then ignored.
fn check_request(terms: &entente_agreement::Analysis, request: Option<&Request>) -> Result<(), Refusal> {
    match (terms.authorize(), request) {
        (Authorize::Inputs, Some(_)) => Err(Refusal::RequestUnexpected),
        (_, Some(request)) if !request.parameters().is_empty() => Err(Refusal::RequestParameters),
        _ => Ok(()),
    }
}

fn by_party(signatures: Vec<PartySignature>) -> Result<BTreeMap<Name, Vec<u8>>, ListFault> {
    let mut map = BTreeMap::new();
    for PartySignature { party, armored } in signatures {
        let party = Name::new(&party).map_err(|_| ListFault::NotAName)?;
        if map.insert(party, armored).is_some() {
            return Err(ListFault::Twice);
        }
    }
    Ok(map)
}

fn by_dataset(
    manifests: Vec<entente_channel::SignedManifest>,
) -> Result<BTreeMap<Name, SignedManifest>, Refusal> {
    let mut map = BTreeMap::new();
    for entente_channel::SignedManifest { dataset, bytes, armored } in manifests {
        let dataset = Name::new(&dataset).map_err(|_| Refusal::ManifestList(ListFault::NotAName))?;
        let manifest = Manifest::parse(&bytes).map_err(Refusal::Manifest)?;
        if map.insert(dataset, SignedManifest::new(manifest, armored)).is_some() {
            return Err(Refusal::ManifestList(ListFault::Twice));
        }
    }
    Ok(map)
}

fn signed_request(request: entente_channel::SignedRequest) -> Result<SignedRequest, Refusal> {
    let signatures = by_party(request.signatures).map_err(Refusal::SignatureList)?;
    let request = Request::parse(&request.bytes).map_err(Refusal::Request)?;
    Ok(SignedRequest::new(request, signatures))
}
