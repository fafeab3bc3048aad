// How loud a microphone is, as a person would see it on a meter.

/** Root mean square of samples in −1…1 → 0…1 on a scale of decibels: −60 dB and less is 0, −10 dB and more is 1. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  const decibels = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.min(1, Math.max(0, (decibels + 60) / 50));
}

export interface Heard {
  /** As of levelOf. */
  level: number;
  /** Anything but zeros. A switched-off headset gives zeros, a silent room does not. */
  sounding: boolean;
  /** The browser lets the page listen; before the first touch of the page it may not. */
  running: boolean;
}

/** Reports what track gives about ten times a second until the result is called. */
export function listen(track: MediaStreamTrack, report: (heard: Heard) => void): () => void {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    // Browsers keep the context asleep until the first touch of the page.
    if (context.state === "suspended") void context.resume();
    analyser.getFloatTimeDomainData(samples);
    const sounding = samples.some((sample) => Math.abs(sample) > 1e-6);
    report({ level: levelOf(samples), sounding, running: context.state === "running" });
  }, 100);
  return () => {
    clearInterval(timer);
    source.disconnect();
    void context.close();
  };
}
