import { hash32, pick, unit } from "./random.ts";

/** A kind of measurement: its unit, its middle and how far it swings. */
interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly middle: number;
  readonly swing: number;
}

const METRICS: readonly [Metric, ...Metric[]] = [
  { name: "temperature", unit: "°C", middle: 21, swing: 9 },
  { name: "humidity", unit: "%", middle: 55, swing: 30 },
  { name: "pressure", unit: "hPa", middle: 1_013, swing: 20 },
  { name: "battery", unit: "V", middle: 3.6, swing: 0.5 },
];
const CITIES: readonly [string, ...string[]] = ["Ulm", "Łódź", "Cork", "Évora", "Turku", "Graz"];
const DEVICES_A_GATEWAY = 10;
const GATEWAYS_A_SITE = 4;

/** One series of readings: a metric of a device. */
export interface Series {
  readonly index: number;
  readonly deviceId: string;
  readonly metric: Metric;
}

/** What the state of an entity says, without its time. */
export interface EntityState {
  readonly entity: "site" | "gateway" | "device";
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly relationships: Readonly<Record<string, string>>;
}

/** A simulated fleet: devices behind gateways, gateways on sites. All of it follows from the seed and the number of devices. */
export interface Fleet {
  readonly seed: number;
  readonly deviceCount: number;
  readonly seriesCount: number;
  readonly entityCount: number;
  series(index: number): Series;
  /** The measured value of a series at its n-th reading: slow waves and a little noise. */
  value(series: Series, n: number): number;
  /** The state of an entity after so many changes; 0 is its first. */
  entity(index: number, changes: number): EntityState;
}

/** Makes a fleet. */
export function createFleet(seed: number, deviceCount: number): Fleet {
  const gatewayCount = Math.ceil(deviceCount / DEVICES_A_GATEWAY);
  const siteCount = Math.ceil(gatewayCount / GATEWAYS_A_SITE);
  const device = (index: number, changes: number): EntityState => {
    const gateway = changes === 0 ? Math.floor(index / DEVICES_A_GATEWAY) : hash32(seed, 11, index, changes) % gatewayCount;
    return {
      entity: "device",
      id: `device-${index}`,
      attributes: { model: `M${hash32(seed, 12, index) % 5}`, firmware: `1.${changes}` },
      relationships: { gateway: `gateway-${gateway}` },
    };
  };
  const gateway = (index: number, changes: number): EntityState => ({
    entity: "gateway",
    id: `gateway-${index}`,
    attributes: { model: `G${hash32(seed, 13, index) % 3}`, firmware: `2.${changes}` },
    relationships: { site: `site-${Math.floor(index / GATEWAYS_A_SITE)}` },
  });
  const site = (index: number): EntityState => ({
    entity: "site",
    id: `site-${index}`,
    attributes: { city: pick(CITIES, seed, 14, index) },
    relationships: {},
  });
  return {
    seed,
    deviceCount,
    seriesCount: deviceCount * METRICS.length,
    entityCount: siteCount + gatewayCount + deviceCount,
    series: (index) => ({
      index,
      deviceId: `device-${Math.floor(index / METRICS.length)}`,
      metric: METRICS[index % METRICS.length] ?? METRICS[0],
    }),
    value: ({ index, metric }, n) => {
      const phase = unit(seed, 15, index) * Math.PI * 2;
      const wave = 0.6 * Math.sin(n / 40 + phase) + 0.3 * Math.sin(n / 7 + phase * 3) + 0.1 * (unit(seed, 16, index, n) * 2 - 1);
      return Math.round((metric.middle + metric.swing * wave) * 1_000) / 1_000;
    },
    entity: (index, changes) => {
      if (index < siteCount) return site(index);
      if (index < siteCount + gatewayCount) return gateway(index - siteCount, changes);
      return device(index - siteCount - gatewayCount, changes);
    },
  };
}
