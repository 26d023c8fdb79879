//! Currencies and their smallest units (ISO 4217).

/// A currency of ISO 4217's list of active codes that money can be paid in.
///
/// Funds codes without a minor unit (XDR, XAU, …) and test codes (XTS, XXX) are left out: there is no smallest amount of them to bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency {
    code: [u8; 3],
    decimals: u8,
}

/// Codes whose minor unit is a hundredth.
const HUNDREDTHS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY \
                          COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD \
                          KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK \
                          NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
                          TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";
/// Codes without a minor unit.
const WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Codes whose minor unit is a thousandth.
const THOUSANDTHS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Codes whose minor unit is a ten-thousandth.
const TEN_THOUSANDTHS: &str = "CLF UYW";

impl Currency {
    /// The currency with this code, three upper-case letters.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        let lists = [(HUNDREDTHS, 2), (WHOLE, 0), (THOUSANDTHS, 3), (TEN_THOUSANDTHS, 4)];
        let listed = |list: &str| list.split_ascii_whitespace().any(|entry| entry == text);
        let (_, decimals) = lists.into_iter().find(|(list, _)| listed(list))?;
        Some(Self { code, decimals })
    }

    /// The three letters.
    pub(crate) fn code(&self) -> &str {
        core::str::from_utf8(&self.code).expect("parse takes ASCII letters only")
    }

    /// Decimals of the smallest amount that can be paid: 2 for EUR, 0 for JPY.
    pub(crate) const fn decimals(self) -> u8 {
        self.decimals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_iso_4217() {
        for (code, decimals) in [("EUR", 2), ("GBP", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XCG", 2)] {
            let currency = Currency::parse(code).unwrap();
            assert_eq!((currency.code(), currency.decimals()), (code, decimals));
        }
        for text in ["", "eur", "EU", "EURO", "XXX", "XAU", "HRK", "E R", "A E", "€"] {
            assert_eq!(Currency::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let all = [HUNDREDTHS, WHOLE, THOUSANDTHS, TEN_THOUSANDTHS].join(" ");
        let mut codes: Vec<_> = all.split_ascii_whitespace().collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(
            codes.iter().all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
        );
    }
}
