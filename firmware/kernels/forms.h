/* Which form of a kernel the compiler's target takes. Every form gives the same bits.
 *
 *   TSD_DSP  Arm with the DSP extension (Cortex-M4, M7, M33): pairs of 16 bits multiplied at once
 *   TSD_MVE  Arm with Helium (Cortex-M55): vectors of 16 bytes
 *   neither  plain C99
 */
#ifndef TSD_FORMS_H
#define TSD_FORMS_H

#if defined(__ARM_FEATURE_MVE) && !defined(TSD_PORTABLE)
#define TSD_MVE 1
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && !defined(TSD_PORTABLE)
#define TSD_DSP 1
#endif

#endif /* TSD_FORMS_H */
